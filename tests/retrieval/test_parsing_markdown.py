"""Markdown as its readers see it."""

import pytest

from retrieval.parsing import ParsedDocument, parse

PAGE = """---
tags: [a]
title: "Sick leave"
---
# If you are ill

Tell your [manager](https://wiki.example/secret-target "tip") before *nine*. ![chart](chart.png) <!-- COMMENT -->
Use `form 7`.
<span style="display:none">HIDDEN</span>

## Numbers

| Days | Paid |
|------|------|
| 1–30 | full |
| 31+  | [half](x.md) |

1. First
2. Second
   - nested

> quoted words

```python
def pay():
    return 1 < 2
```

Underlined
----------
<div hidden>

HIDDEN too

</div>
The end.
"""


def markdown(text: str, path: str = "x.md") -> ParsedDocument:
    return parse(text.encode(), "text/markdown", path)


def test_the_structure_and_the_words_stay() -> None:
    document = markdown(PAGE)
    found = [(b.kind.value, b.headings, document.text[b.start : b.end]) for b in document.blocks]
    top, numbers = ("If you are ill",), ("If you are ill", "Numbers")
    assert found == [
        ("heading", (), "If you are ill"),
        ("paragraph", top, "Tell your manager before nine. Use form 7."),
        ("heading", top, "Numbers"),
        ("table", numbers, "Days: 1–30; Paid: full\nDays: 31+; Paid: half"),
        ("list", numbers, "1. First\n2. Second\n  - nested"),
        ("paragraph", numbers, "quoted words"),
        ("code", numbers, "def pay():\n    return 1 < 2"),
        ("heading", top, "Underlined"),
        ("paragraph", (*top, "Underlined"), "The end."),
    ]
    assert document.title == "Sick leave"


def test_what_nobody_sees_is_left_out() -> None:
    for gone in ("HIDDEN", "COMMENT", "secret-target", "tip", "chart", "tags"):
        assert gone in PAGE
        assert gone not in markdown(PAGE).text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("+++\ntitle = 'Toml'\n+++\n# One", "Toml"),
        ("---\nTITLE: Upper\n---\nx", "Upper"),
        ("---\nother: x\n---\n# One\n# Two", "One"),
        ("## Only second\n\nx", "Travel"),
        ("# \n\nx", "Travel"),
        ("# " + "long " * 100, "Travel"),
        ("---\n\nA rule, not front matter.\n\n---\n\nx", "Travel"),
    ],
)
def test_the_title(text: str, title: str) -> None:
    assert markdown(text, "travel.md").title == title


def test_a_rule_at_the_top_is_not_front_matter() -> None:
    assert "A rule" in markdown("---\n\nA rule, not front matter.\n\n---\n\nx").text
    assert "Note: words" in markdown("---\n\nsome\n\nNote: words\n---").text


def test_line_ends_do_not_matter() -> None:
    assert markdown(PAGE.replace("\n", "\r\n")) == markdown(PAGE) == markdown(PAGE.replace("\n", "\r"))


@pytest.mark.parametrize(
    "made_to_be_slow", ["[" * 60_000, "a\n" * 400_000, "![" * 9_000 + " x" * 20_000, "*a **a " * 20_000]
)
def test_pages_made_to_be_slow_are_read_as_text_or_quickly(made_to_be_slow: str) -> None:
    assert len(markdown(made_to_be_slow).text) > 50_000


def test_nesting_without_end_ends() -> None:
    assert "deep" in markdown("> " * 50 + "deep").text
    markdown("x\n\n" + ">" * 100_000 + "deep")
    markdown("x\n\n" + "- " * 50_000 + "deep")
