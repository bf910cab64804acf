"""T8: a real browser shows hostile answers, as the worst client would, and asks nobody else for anything, and runs
nothing."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from gateway.chat.output import clean
from gateway.security import security_headers
from tests.gateway.attacks.browser import Browser, Pages, Seen, find_browser
from tests.gateway.attacks.channels import HOSTS, REFRESHES, WAYS, hostile
from tests.gateway.attacks.rendering import renderers

pytestmark = [pytest.mark.network, pytest.mark.enable_socket]
_A_PAGE = 125
"""Answers on one page."""
_numbers = itertools.count(1)
_BARE = {"Content-Type": "text/html; charset=utf-8"}
GUARDED = {**_BARE, **security_headers("text/html")}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Browser]:
    program = find_browser()
    pages = Pages()
    opened = Browser(program, tmp_path_factory.mktemp("browser"), pages)
    yield opened
    opened.close()
    pages.close()


def page_of(answers: list[str], end: str) -> str:
    """Answers one below the other: as rendered with HTML let through and addresses linked, and put in as they are."""
    shown = "\n".join(f"<section>{renderers()['github'](answer)}</section><div>{answer}</div>" for answer in answers)
    return f"<!doctype html><meta charset=utf-8><title>Answers</title>\n{shown}\n<img src={end} alt=end>"


def shown(browser: Browser, answers: list[str], headers: dict[str, str], size: int = _A_PAGE) -> list[Seen]:
    seen = []
    for start in range(0, len(answers), size):
        number = next(_numbers)
        path = f"/answers/{number}"
        browser.pages.content[path] = (page_of(answers[start : start + size], f"/end/{number}.gif"), headers)
        seen.append(browser.show(path))
    return seen


def elsewhere(browser: Browser, seen: list[Seen]) -> list[str]:
    return [url for each in seen for url in each.elsewhere(browser.pages.origin)]


def scripts(seen: list[Seen]) -> list[str]:
    return [script for each in seen for script in each.scripts]


def check_nothing_happens(browser: Browser, answers: list[str], headers: dict[str, str]) -> None:
    seen = shown(browser, list(map(clean, answers)), headers)
    assert elsewhere(browser, seen) == []
    assert scripts(seen) == []
    # The page itself and the image at its end, which shows that all of it was read; and nothing more of our own.
    assert [len(each.asked) for each in seen] == [2] * len(seen)
    assert [len(each.arrived) for each in seen] == [2] * len(seen)


@pytest.mark.parametrize("headers", [GUARDED, _BARE], ids=["with headers", "without headers"])
def test_hostile_answers_ask_nobody_and_run_nothing(browser: Browser, headers: dict[str, str]) -> None:
    check_nothing_happens(browser, hostile(500, seed=3), headers)


@pytest.mark.deep
@pytest.mark.parametrize("headers", [GUARDED, _BARE], ids=["with headers", "without headers"])
def test_many_hostile_answers_ask_nobody_and_run_nothing(browser: Browser, headers: dict[str, str]) -> None:
    check_nothing_happens(browser, hostile(5000, seed=4), headers)


def in_full(ways: tuple[str, ...], data: Callable[[int], str]) -> list[str]:
    return [way.format(h=HOSTS[number % 3], d=data(number)) for number, way in enumerate(ways)]


def test_answers_that_were_not_cleaned_are_noticed(browser: Browser) -> None:
    """Negative control: without output policy and without headers, secrets leave and scripts run."""
    ways = tuple(way for way in WAYS if way not in REFRESHES)
    seen = shown(browser, in_full(ways, lambda number: f"secret{number}e"), _BARE, size=10)
    asked = " ".join(elsewhere(browser, seen))
    left = [number for number in range(len(ways)) if f"secret{number}e" in asked]
    assert len(left) >= 30
    assert len(scripts(seen)) >= 5
    arrived = [url for each in seen for url in each.arrived if not url.startswith(browser.pages.origin)]
    assert len(arrived) >= 10, "the other observer sees them, too"


def test_a_page_that_is_sent_elsewhere_is_noticed(browser: Browser) -> None:
    """Negative control."""
    seen = shown(browser, in_full(REFRESHES, str), _BARE, size=1)
    assert all(each.elsewhere(browser.pages.origin) for each in seen)


def test_the_headers_alone_keep_scripts_from_running_and_others_from_being_asked(browser: Browser) -> None:
    """Defence in depth: the same answers, not cleaned, under our headers."""
    ways = tuple(way for way in WAYS if way not in REFRESHES)
    seen = shown(browser, in_full(ways, str), GUARDED, size=10)
    assert scripts(seen) == []
    assert elsewhere(browser, seen) == []
