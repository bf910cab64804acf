"""T8: whatever a model writes, renderers make words of what is left of it: no link, image, element or attribute."""

import pytest

from gateway.chat import output
from gateway.chat.output import clean
from tests.gateway.attacks.channels import WAYS, hostile
from tests.gateway.attacks.rendering import alive, alive_in


def still_alive(texts: list[str]) -> dict[str, dict[str, list[str]]]:
    return {text: found for text in texts if (found := alive_in(clean(text)))}


def test_nothing_in_a_cleaned_answer_is_alive() -> None:
    assert still_alive(hostile(2000, seed=8)) == {}


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(8))
def test_nothing_in_many_cleaned_answers_is_alive(seed: int) -> None:
    assert still_alive(hostile(25_000, seed)) == {}


@pytest.mark.parametrize("step", ["_BROKEN", "without_addresses", "_outside_code", "_plain_braces"])
def test_a_policy_without_one_of_its_steps_is_noticed(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    absent = () if step == "_BROKEN" else (lambda found: found if isinstance(found, str) else found[0])
    monkeypatch.setattr(output, step, absent)
    assert len(still_alive(hostile(2000, seed=8))) >= 3


def test_the_ways_are_alive_before_they_are_cleaned() -> None:
    """Negative control of the looking: what is missing are texts that no renderer here makes anything of."""
    found = [text for text in hostile(len(WAYS), seed=0) if alive_in(text)]
    assert len(found) > 0.75 * len(WAYS)


@pytest.mark.parametrize(
    "page", ["<a href=/x>y</a>", "<p onclick=x>", "<p style='color:red'>", "<!--x-->", "<img>", "<?x?>"]
)
def test_what_is_alive_is_seen(page: str) -> None:
    assert alive(page)
    assert alive("<p>a <em>b</em> <code class=x>c</code></p>") == []
