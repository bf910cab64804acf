"""Passages: nothing lost, nothing too long, nothing without its heading."""

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from retrieval.chunks import SEPARATOR, Chunk, chunk, index_text
from retrieval.parsing import BlockKind, ParsedDocument, parse
from retrieval.parsing.document import DocumentBuilder


def count_tokens(text: str) -> int:
    """A stand-in for an embedder's tokeniser: a token for each started four letters of a word."""
    return sum((len(word) + 3) // 4 for word in text.split())


def markdown(text: str) -> ParsedDocument:
    return parse(text.encode(), "text/markdown", "page.md")


def passages(document: ParsedDocument, max_tokens: int = 256) -> list[tuple[str, str]]:
    return [(part.heading, document.text[part.start : part.end]) for part in chunk(document, count_tokens, max_tokens)]


def prose(words: int, word: str = "word") -> str:
    """Sentences of ten words."""
    return " ".join(f"{word.capitalize()} {' '.join(f'{word}{n + i}' for i in range(9))}." for n in range(0, words, 10))


def test_each_section_is_a_passage_under_its_headings() -> None:
    document = markdown(f"# Page\n\n{prose(80)}\n\n## Pay\n\n{prose(90)}\n\n### Bonus\n\n{prose(70)}")
    assert [heading for heading, _ in passages(document)] == ["", "Pay", f"Pay{SEPARATOR}Bonus"]
    assert passages(document)[1][1] == prose(90)


def test_the_title_is_not_repeated_in_the_heading() -> None:
    assert passages(markdown("# Page\n\n## Part\n\nwords"))[0][0] == "Part"
    titled = markdown("---\ntitle: Other\n---\n# Page\n\n## Part\n\nwords")
    assert passages(titled)[0][0] == f"Page{SEPARATOR}Part"


def test_long_sections_are_cut_into_even_windows_between_sentences() -> None:
    document = markdown(f"# Page\n\n{prose(500)}")
    found = [text for _, text in passages(document)]
    assert all(text.endswith(".") and text.startswith("Word ") for text in found)
    lengths = [len(text.split()) for text in found]
    assert all(60 <= length <= 130 for length in lengths)
    assert max(lengths) - min(lengths) <= 30


def test_one_sentence_is_repeated_where_a_paragraph_is_cut_and_nowhere_else() -> None:
    cut = chunk(markdown(f"# Page\n\n{prose(300)}"), count_tokens)
    assert all(0 < one.end - other.start <= 150 for one, other in pairwise(cut))
    whole = chunk(markdown("# Page\n\n" + "\n\n".join([prose(60)] * 6)), count_tokens)
    assert all(one.end <= other.start for one, other in pairwise(whole))


def test_abbreviations_do_not_end_a_sentence() -> None:
    sentence = (
        "Please ask Dr. Jones, e.g. by mail to the address of Mr. A. Smith in the second building on the left side. "
    )
    for _, text in passages(markdown(f"# Page\n\n{sentence * 30}")):
        assert text.startswith("Please")
        assert text.endswith("side.")


@pytest.mark.parametrize("cjk", ["汉字漢字。" * 400, "字" * 2_000])
def test_scripts_without_spaces_stay_in_the_budget(cjk: str) -> None:
    document = markdown(cjk)
    for part in chunk(document, len, 256):
        assert part.tokens <= 256


def test_tables_and_code_stay_whole_when_they_fit() -> None:
    rows = "\n".join(f"| country {n} | {n} days |" for n in range(18))
    document = markdown(
        f"# Page\n\n{prose(60)}\n\n| where | how long |\n|---|---|\n{rows}\n\n```\n{'x = 1' + chr(10)}```"
    )
    table = next(block for block in document.blocks if block.kind is BlockKind.TABLE)
    assert table.end - table.start > 600
    assert any(part.start <= table.start and part.end >= table.end for part in chunk(document, count_tokens, 512))


def test_a_long_table_is_cut_between_rows_and_each_row_names_its_columns() -> None:
    rows = "\n".join(f"| country {n} | {n} days |" for n in range(200))
    found = [text for _, text in passages(markdown(f"| where | how long |\n|---|---|\n{rows}"))]
    assert len(found) > 5
    for line in "\n".join(found).splitlines():
        assert line.startswith("where: country ")
        assert line.endswith(" days")


def test_long_code_and_lists_are_cut_between_lines() -> None:
    code = "\n".join(f"    call_number_{n}(argument)" for n in range(100))
    found = [text for _, text in passages(markdown(f"```\n{code}\n```"))]
    assert len(found) > 2
    assert all(
        line.strip().startswith("call_number_") and line.endswith(")") for text in found for line in text.splitlines()
    )
    items = "\n".join(f"- item {n} of the list" for n in range(100))
    assert all(text.startswith("- item") for _, text in passages(markdown(items)))


def test_tiny_sections_share_a_passage_that_shows_their_headings() -> None:
    document = markdown("# Faq\n\nShort answers.\n\n## Can I?\n\nYes.\n\n## May I?\n\nNo.\n\n## Must I?\n\nPerhaps.")
    text = "Short answers.\n\nCan I?\n\nYes.\n\nMay I?\n\nNo.\n\nMust I?\n\nPerhaps."
    assert passages(document) == [("", text)]


def test_sections_of_some_length_do_not_share_a_passage() -> None:
    document = markdown(f"# Page\n\n## One\n\n{prose(40)}\n\n## Two\n\n{prose(40)}")
    assert passages(document) == [("One", prose(40)), ("Two", prose(40))]


def test_sections_that_are_not_neighbours_in_the_outline_do_not_share_a_passage() -> None:
    document = markdown("# Page\n\n## A\n\n### A1\n\ntiny\n\n## B\n\n### B1\n\ntiny")
    assert passages(document) == [(f"A{SEPARATOR}A1", "tiny"), (f"B{SEPARATOR}B1", "tiny")]


def test_headings_with_nothing_under_them_are_kept() -> None:
    document = markdown(f"# Page\n\n## Empty\n\n## Full\n\n{prose(60)}\n\n## Last")
    joined = "\n".join(f"{heading}\n{text}" for heading, text in passages(document))
    assert all(name in joined for name in ("Empty", "Full", "Last"))


def test_a_lead_in_stays_with_its_list() -> None:
    items = "\n".join(f"- {prose(20)}" for _ in range(20))
    first = passages(markdown(f"# Page\n\nYou need:\n\n{items}"))[0][1]
    assert first.startswith("You need:\n\n- Word")


def test_pages_are_where_a_passage_begins() -> None:
    builder = DocumentBuilder()
    for page in (1, 2, 3):
        builder.add(BlockKind.PARAGRAPH, prose(90), page)
    assert [part.page for part in chunk(builder.build("Report"), count_tokens)] == [1, 2, 3]


def test_very_long_headings_leave_room_for_the_text() -> None:
    path = "\n\n".join(f"{'#' * level} {'heading ' * 25}{level}" for level in range(1, 7))
    document = markdown(f"---\ntitle: T\n---\n{path}\n\n{prose(200)}")
    for part in chunk(document, count_tokens, 128):
        text = document.text[part.start : part.end]
        assert count_tokens(index_text(document.title, part.heading, text)) <= 128


def test_index_text_puts_title_and_headings_above_the_text() -> None:
    assert index_text("T", "A › B", "words") == "T › A › B\nwords"
    assert index_text("T", "", "words") == "T\nwords"
    assert index_text("", "", "words") == "words"


def test_an_empty_document_has_no_passages() -> None:
    assert chunk(ParsedDocument("", "T", ()), count_tokens) == []


# What must hold for every document.

_words = st.text(alphabet="ab .!?\n-é汉", min_size=1, max_size=30)
_texts = st.one_of(
    _words, st.builds(lambda text, times: text * times, _words, st.integers(1, 120)), st.just("x" * 3_000)
)
_parts = st.lists(st.tuples(st.sampled_from([*BlockKind]), st.integers(1, 4), _texts), max_size=12)


def built(parts: list[tuple[BlockKind, int, str]], title: str) -> ParsedDocument:
    builder = DocumentBuilder()
    for kind, level, text in parts:
        if kind is BlockKind.HEADING:
            builder.heading(level, text[:200])
        else:
            builder.add(kind, text)
    return builder.build(title)


def lost(document: ParsedDocument, chunks: list[Chunk]) -> list[str]:
    """The words that stand in no passage; headings may stand in the heading path or title instead."""
    covered = bytearray(len(document.text))
    for part in chunks:
        covered[part.start : part.end] = b"\1" * (part.end - part.start)
    paths = {document.title, *(name for part in chunks for name in part.heading.split(SEPARATOR))}
    return [
        document.text[block.start : block.end]
        for block in document.blocks
        if not all(covered[n] or document.text[n].isspace() for n in range(block.start, block.end))
        and not (block.kind is BlockKind.HEADING and document.text[block.start : block.end] in paths)
    ]


@settings(deadline=None)
@given(parts=_parts, title=st.sampled_from(["", "Title", "a"]), max_tokens=st.sampled_from([64, 256]))
def test_nothing_is_lost_and_offsets_are_exact(
    parts: list[tuple[BlockKind, int, str]], title: str, max_tokens: int
) -> None:
    document = built(parts, title)
    chunks = chunk(document, count_tokens, max_tokens=10_000)
    assert lost(document, chunks) == []
    chunks = chunk(document, count_tokens, max_tokens)
    for part in chunks:
        text = document.text[part.start : part.end]
        assert text
        assert text == text.strip("\n")
        assert text.strip()
        assert part.tokens == count_tokens(text)
        if count_tokens(document.title) <= max_tokens // 2:
            assert count_tokens(index_text(document.title, part.heading, text)) <= max_tokens
        assert len(text) <= 1_200
    assert all(one.start <= other.start and one.end < other.end for one, other in pairwise(chunks))


def test_a_lost_piece_would_be_noticed() -> None:
    """Negative control: without one passage, its words are missed."""
    document = markdown(f"# Page\n\n{prose(400)}")
    chunks = chunk(document, count_tokens)
    assert lost(document, chunks) == []
    for place in range(len(chunks)):
        assert lost(document, chunks[:place] + chunks[place + 1 :]) != []


@pytest.mark.parametrize(
    "text", [prose(100_000), "word " * 100_000, "x" * 600_000, "# a\n\nb\n\n" * 8_000, "- a\n" * 10_000]
)
def test_the_work_is_linear_in_the_text(text: str) -> None:
    document = markdown(text)
    counted = 0

    def counting(piece: str) -> int:
        nonlocal counted
        counted += len(piece)
        return count_tokens(piece)

    started = time.perf_counter()
    chunk(document, counting)
    assert time.perf_counter() - started < 60
    assert counted < 3 * len(document.text)


@pytest.fixture(scope="session")
def tokenizer(models_folder: Path) -> Tokenizer:
    """The embedder's own tokeniser, without its habit of cutting what is too long."""
    file = models_folder / "all-minilm-l6-v2" / "tokenizer.json"
    if not file.is_file():
        reason = "all-minilm-l6-v2 has not been pulled; run: muniment models pull all-minilm-l6-v2"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    loaded = Tokenizer.from_file(str(file))
    loaded.no_truncation()
    loaded.no_padding()
    return loaded


_URL = "https://example.org/a/very/long/path?with=parameters&and=more#fragment "


@pytest.mark.models
@pytest.mark.parametrize(
    "text",
    [
        prose(2_000),
        _URL * 200,
        "ffi αβγ 汉字 " * 300,
        "{}[]()<>!?;:" * 300,
        f"| a | b |\n|---|---|\n{f'| {_URL} | 1 |' + chr(10)}" * 50,
    ],
)
def test_passages_fit_the_real_embedder(text: str, tokenizer: Tokenizer) -> None:
    document = markdown(f"# A page of the handbook\n\n## A part of it\n\n{text}")
    for part in chunk(document, lambda piece: len(tokenizer.encode(piece, add_special_tokens=False).ids)):
        indexed = index_text(document.title, part.heading, document.text[part.start : part.end])
        assert len(tokenizer.encode(indexed).ids) <= 256
