"""Presidio's recognisers as we use them: offline, in time, and failing closed."""

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from policies.errors import RedactionFailedError
from policies.personal_data import EntityType
from policies.redaction import recognisers
from policies.redaction.recognisers import Recogniser, load_recognisers
from tests.timing import cpu_seconds


@pytest.fixture(scope="module")
def loaded() -> dict[str, Sequence[Recogniser]]:
    return load_recognisers()


def found(loaded: dict[str, Sequence[Recogniser]], text: str) -> list[tuple[str, EntityType]]:
    each = [recogniser for some in loaded.values() for recogniser in some]
    return [(text[span.start : span.end], span.type) for recogniser in each for span in recogniser.find(text, 0)]


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("mail ada.lovelace+x@example.co.uk.", "ada.lovelace+x@example.co.uk", EntityType.EMAIL_ADDRESS),
        ("mail ada@files.corp today", "ada@files.corp", EntityType.EMAIL_ADDRESS),
        ("from 203.0.113.7 port", "203.0.113.7", EntityType.IP_ADDRESS),
        ("from 2001:db8::8a2e:370:7334 now", "2001:db8::8a2e:370:7334", EntityType.IP_ADDRESS),
        ("PAN ABCPE1234F", "ABCPE1234F", EntityType.NATIONAL_ID),
        ("pay 1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", EntityType.CRYPTO),
    ],
)
def test_identifiers_are_found(
    loaded: dict[str, Sequence[Recogniser]], text: str, value: str, kind: EntityType
) -> None:
    assert (value, kind) in found(loaded, text)


@pytest.mark.parametrize(
    "text",
    [
        "git@github.com:a/b",
        "a@b",
        "127.0.0.1",
        "upgrade to version 17.30.20.4",
        "10.0.0.0/8",
        "0.0.0.0",
        "255.255.255.0",
    ],
)
def test_what_identifies_nobody_is_left_alone(loaded: dict[str, Sequence[Recogniser]], text: str) -> None:
    assert found(loaded, text) == []


NEAR_MISSES = [
    "::ffff:203.0.113.7",
    "fe80::1ff:fe23:4567:890a%eth2",
    "1:2:3:4:5:6:7:8",
    "2001:db8::",
    "::1/128",
    "at 10:15, 1.2.3, 4.5.6.7",
    "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    "abcpe1234f ABCPE1234F1 ABCPE1234F",
    "nric S1234567D",
    "fin G1234567X",
    "xrrn 900101-1234567",
    "resident registration 900101-1234567",
    "Aadhaar 2345 6789 0124",
    "UIDAI: 234567890124",
    "DEA AB1234563",
    "medical licence AB1234563",
]


def strewn(draw: random.Random) -> str:
    """Pieces of such values, in any order."""
    pieces = [piece for text in NEAR_MISSES for piece in (text, *text.split())]
    return "".join(draw.choice(pieces) + draw.choice([" ", " ", ":", ".", "\n", ""]) for _ in range(12))


def differing(loaded: dict[str, Sequence[Recogniser]], needs: Any = ...) -> tuple[int, set[str]]:
    """How many texts read otherwise where nothing is needed first, and by whom anything was found."""
    draw, count, some = random.Random(8), 0, set()
    for text in (*NEAR_MISSES, *(strewn(draw) for _ in range(2_000))):
        for each in loaded["digit"]:
            expected = list(replace(each, needs=None).find(text, 0))
            some |= {each.name} if expected else set()
            count += list((each if needs is ... else replace(each, needs=needs)).find(text, 0)) != expected
    return count, some


def test_what_a_recogniser_needs_stands_in_all_that_it_finds(loaded: dict[str, Sequence[Recogniser]]) -> None:
    count, some = differing(loaded)
    assert count == 0
    assert some == {each.name for each in loaded["digit"]}
    assert all(each.needs for each in loaded["digit"])


def test_a_recogniser_that_needs_too_much_is_noticed(loaded: dict[str, Sequence[Recogniser]]) -> None:
    """Negative control."""
    assert differing(loaded, re.compile("wallet"))[0] > 0


def test_no_suffix_list_is_fetched(loaded: dict[str, Sequence[Recogniser]], monkeypatch: pytest.MonkeyPatch) -> None:
    import tldextract.remote  # noqa: PLC0415 - only to watch it
    import tldextract.suffix_list  # noqa: PLC0415

    asked: list[str] = []

    def watched(_: object, urls: Sequence[str], **__: object) -> str:
        asked.extend(urls)
        raise tldextract.suffix_list.SuffixListNotFound(list(urls))

    monkeypatch.setattr(tldextract.suffix_list, "find_first_response", watched)
    monkeypatch.setattr(recognisers._SUFFIXES, "_extractor", None)  # As before its first use.
    assert found(loaded, "ada@example.com")
    assert asked == []
    tldextract.TLDExtract(cache_dir=None)("example.com")
    assert asked, "negative control: the library's own default would ask"


class _Slow:
    """A pattern that never finishes in time."""

    def finditer(self, text: str, timeout: float | None = None) -> list[Any]:
        del text, timeout
        raise TimeoutError


def test_a_pattern_that_times_out_fails_the_text(loaded: dict[str, Sequence[Recogniser]]) -> None:
    emails = load_recognisers()["at"][0]
    emails.presidio.patterns[0].compiled_regex = recognisers._InTime(_Slow())
    with pytest.raises(RedactionFailedError, match="too long"):
        list(emails.find("ada@example.com", 0))
    assert list(loaded["at"][0].find("ada@example.com", 0))


def test_presidio_alone_would_let_the_text_pass() -> None:
    """Negative control: without the guard, the same time-out finds nothing and says nothing."""
    emails = load_recognisers()["at"][0]
    emails.presidio.patterns[0].compiled_regex = _Slow()
    assert list(emails.find("ada@example.com", 0)) == []


def test_hostile_text_takes_no_time(loaded: dict[str, Sequence[Recogniser]]) -> None:
    for text in ("a." * 250 + "@", "1." * 250, "a@" * 250, ":" * 500, "0:" * 250, "A1" * 250):
        assert cpu_seconds(partial(found, loaded, text)) < 0.5
