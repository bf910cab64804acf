"""What holds for every format: one sentence when it cannot be read, clean text and exact blocks when it can."""

import codecs
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import RetrievalError
from retrieval.parsing import BlockKind, ParsedDocument, UnparsableError, parse
from retrieval.parsing.document import clean

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
TYPES = ["text/plain", "text/markdown", "text/html", "text/csv", "message/rfc822", "application/pdf", DOCX]
TEXT_TYPES = TYPES[:4]


MARKUP = """# |## |- |1. |> |
|

|a word |```|| a | b |
|---|---|
|<div>|</div>|<p hidden>|<table>|<tr><td>x<td>y|<ul><li>|</li>|<pre>|<br>|&amp;|<h1>|</h1>|[a](b)|![c](d)|<!--|-->|---
|title: x
|*|**|    |\t|é|,|;|"|Subject: x
|Content-Type: text/html
|\u200b|<style>|</style>|.a{display:none}""".split("|")


def blocks(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind.value, document.text[block.start : block.end]) for block in document.blocks]


def assert_is_sentence(reason: str) -> None:
    assert reason[0].isupper()
    assert reason.endswith(".")
    assert reason.count(". ") == 0
    assert len(reason) < 200


def assert_well_formed(document: ParsedDocument) -> None:
    end = 0
    for block in document.blocks:
        assert block.start >= end
        assert not document.text[end : block.start].strip()
        assert document.text[block.start : block.end].strip()
        end = block.end
    assert not document.text[end:].strip()
    assert document.title
    document.text.encode()


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize("content", [b"", b" \r\n\t ", codecs.BOM_UTF8])
def test_an_empty_file_is_told(content: bytes, media_type: str) -> None:
    with pytest.raises(UnparsableError) as caught:
        parse(content, media_type, "x")
    assert_is_sentence(str(caught.value))


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize(
    "beginning",
    [
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"\x1f\x8b\x08",
        b"\x7fELF",
        b"{\\rtf1",
        b"Rar!\x1a\x07",
        b"\x00\x01\x02",
    ],
)
def test_other_bytes_are_told_whatever_the_label(beginning: bytes, media_type: str) -> None:
    with pytest.raises(UnparsableError) as caught:
        parse(beginning + bytes(range(256)) * 20, media_type, "x")
    assert_is_sentence(str(caught.value))


@pytest.mark.parametrize(
    ("content", "media_type", "said"),
    [
        (b"PK\x03\x04" + b"x" * 99, "application/pdf", "holds a ZIP archive"),
        (b"<!DOCTYPE html><p>Please sign in", "application/pdf", "holds a web page"),
        (b"%PDF-1.7\n" + b"x" * 99, DOCX, "holds a PDF document"),
        (b"%PDF-1.7\n" + b"x" * 99, "text/markdown", "holds a PDF document"),
        (b"plain words", DOCX, "something else or damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 99, DOCX, "older Office format"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + "EncryptedPackage".encode("utf-16-le"),
            DOCX,
            "protected by a password",
        ),
        (b"plain words without header", "message/rfc822", "does not begin like one"),
        (b"x", "image/png", "Files of the type 'image/png' are not read"),
        (b"x", "application/zip", "Markdown, text, HTML, PDF, DOCX, CSV and EML are"),
    ],
)
def test_a_wrong_label_is_told(content: bytes, media_type: str, said: str) -> None:
    with pytest.raises(UnparsableError) as caught:
        parse(content, media_type, "x")
    assert said in str(caught.value)
    assert_is_sentence(str(caught.value))


def test_it_is_an_error_of_retrieval() -> None:
    assert issubclass(UnparsableError, RetrievalError)


def test_a_reason_holds_nothing_of_the_document() -> None:
    for media_type in TYPES:
        with pytest.raises(UnparsableError) as caught:
            parse(b"SECRET\x00" * 300, media_type, "SECRET.x")
        assert "SECRET" not in str(caught.value)


def test_a_fault_in_a_reader_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> ParsedDocument:
        raise RecursionError

    monkeypatch.setitem(parse.__globals__["_READERS"], "text/csv", ("CSV", fail))
    with pytest.raises(UnparsableError, match="RecursionError"):
        parse(b"a,b", "text/csv", "x.csv")


@pytest.mark.parametrize("media_type", TEXT_TYPES)
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        lambda text: text.encode("utf-32"),
        lambda text: text.encode("cp1252"),
        lambda text: text.encode() + b"\xc3",
        lambda text: text.encode().replace(b"Prices", b"Pr\xffices"),
    ],
)
def test_encodings_are_recognised(encode: Callable[[str], bytes], media_type: str) -> None:
    document = parse(encode("Käse, Brötchen, Œuvre — 5 €, Straße, Zürich, Prices. " * 5), media_type, "x")
    assert "Käse, Brötchen, Œuvre — 5 €" in document.text.replace("; ", ", ").replace(" | ", ", ")


def test_a_declared_encoding_is_used_when_it_is_not_utf8() -> None:
    page = '<meta charset="iso-8859-7"><p>Καλημέρα κόσμε'.encode("iso-8859-7")
    assert "Καλημέρα κόσμε" in parse(page, "text/html", "x").text
    mail = b"Subject: x\nContent-Type: text/plain; charset=koi8-r\n\n" + "Привет, мир".encode("koi8-r")
    assert "Привет, мир" in parse(mail, "message/rfc822", "x").text
    unknown = b"Subject: x\nContent-Type: text/plain; charset=no-such\n\n" + "Grüße".encode("cp1252")
    assert "Grüße" in parse(unknown, "message/rfc822", "x").text


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown", "text/html"])
def test_text_is_in_one_form(media_type: str) -> None:
    content = "one\r\ntwo\rthree\x0bfour\x08 caf\u0065\u0301 soft\u00adhyphen\u00a0space \u200bzero"
    text = parse(content.encode(), media_type, "x").text
    assert not any(unicodedata.category(c) == "Cc" and c != "\n" for c in text)
    assert "caf\u00e9 softhyphen space \u200bzero" in text
    assert [word for line in text.splitlines() for word in line.split()][:4] == ["one", "two", "three", "four"]


def test_a_character_that_no_database_stores_is_left_out() -> None:
    text = parse(b"<p>a&#xD800;b&#0;c", "text/html", "x").text
    text.encode()
    assert "\0" not in text


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("a/q3-finance_report.v2.txt", "Q3 finance report.v2"),
        ("handbook/sick-leave/index.txt", "Sick leave"),
        ("README.txt", "README"),
        ("x/" + "long-" * 100 + ".txt", None),
    ],
)
def test_the_title_falls_back_to_the_name(path: str, title: str | None) -> None:
    found = parse(b"some words", "text/plain", path).title
    assert found == title or (title is None and len(found) <= 200)


def test_what_has_no_known_type_is_read_if_it_is_text() -> None:
    assert parse(b"Apache License", "application/octet-stream", "LICENSE").text == "Apache License"
    assert parse(b'{"a": 1}', "application/json; charset=utf-8", "a.json").text == '{"a": 1}'
    with pytest.raises(UnparsableError):
        parse(bytes(range(256)) * 9, "application/octet-stream", "x.bin")


def test_plain_text_has_paragraphs_lists_and_headings() -> None:
    text = b"TRAVEL POLICY\n\nFirst line\nsecond line\n\n- one\n- two\n\nRules\n=====\nDo this.\n\nNot A Heading\n"
    document = parse(text, "text/plain", "x.txt")
    assert blocks(document) == [
        ("heading", "TRAVEL POLICY"),
        ("paragraph", "First line\nsecond line"),
        ("list", "- one\n- two"),
        ("heading", "Rules"),
        ("paragraph", "Do this."),
        ("paragraph", "Not A Heading"),
    ]
    assert document.title == "TRAVEL POLICY"
    assert document.blocks[-1].headings == ("TRAVEL POLICY", "Rules")


@settings(deadline=None)
@given(content=st.binary(max_size=400), media_type=st.sampled_from(TYPES))
def test_any_bytes_give_a_document_or_a_sentence(content: bytes, media_type: str) -> None:
    try:
        assert_well_formed(parse(content, media_type, "x"))
    except UnparsableError as error:
        assert_is_sentence(str(error))


@settings(deadline=None)
@given(
    content=st.lists(
        st.sampled_from(MARKUP),
        max_size=30,
    ).map("".join),
    media_type=st.sampled_from(TYPES[:5]),
)
def test_any_markup_gives_a_document_or_a_sentence(content: str, media_type: str) -> None:
    try:
        assert_well_formed(parse(content.encode(), media_type, "x"))
    except UnparsableError as error:
        assert_is_sentence(str(error))


@pytest.mark.parametrize("media_type", TEXT_TYPES[:3])
@pytest.mark.parametrize("line", [b"word " * 1_000_000, b"x" * 5_000_000, "ä".encode() * 2_500_000])
def test_five_megabytes_on_one_line_take_seconds(line: bytes, media_type: str) -> None:
    started = time.perf_counter()
    document = parse(line, media_type, "x")
    assert len(document.text) >= 2_400_000
    assert time.perf_counter() - started < 60


@pytest.mark.parametrize("media_type", TEXT_TYPES)
def test_fifty_megabytes_of_text_are_refused_quickly(media_type: str) -> None:
    started = time.perf_counter()
    with pytest.raises(UnparsableError, match="characters"):
        parse(b"word " * 10_000_000, media_type, "x")
    assert time.perf_counter() - started < 60


def test_beyond_a_hundred_megabytes_nothing_is_looked_at() -> None:
    with pytest.raises(UnparsableError, match="more than the 100,000,000"):
        parse(bytes(100_000_001), "text/plain", "x")


def test_kinds_are_told_by_value() -> None:
    assert {kind.value for kind in BlockKind} == {"code", "heading", "list", "paragraph", "table"}


@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0f81\u0f71"])
def test_marks_piled_on_a_letter_are_cut_to_thirty_and_take_no_time(marks: str) -> None:
    """Sorting them takes the square of their number: 160,000 took a minute."""
    started = time.process_time()
    text = parse(("a" + marks * 500_000).encode(), "text/plain", "x").text
    assert 30 <= len(text) <= 31
    assert clean(text) == text
    assert time.process_time() - started < 15
    assert parse("cafe\u0301, a\u0316\u0301".encode(), "text/plain", "x").text == "caf\u00e9, \u00e1\u0316"
