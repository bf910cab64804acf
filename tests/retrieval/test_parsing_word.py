"""Word documents: the body as its readers see it, and no archive that unpacks without end."""

import io
import struct
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable

import docx
import pytest
from docx.document import Document
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from retrieval.parsing import ParsedDocument, UnparsableError, parse, word

TYPE = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def saved(document: Document) -> bytes:
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def read(content: bytes) -> ParsedDocument:
    return parse(content, TYPE, "folder/a-file.docx")


def refused(content: bytes) -> str:
    with pytest.raises(UnparsableError) as caught:
        read(content)
    assert str(caught.value).endswith(".")
    return str(caught.value)


def with_body(xml: str) -> bytes:
    """A document whose body holds this WordprocessingML."""
    document = docx.Document()
    for element in parse_xml(f"<w:body {nsdecls('w')}>{xml}</w:body>"):
        document.element.body.insert(len(document.element.body) - 1, element)
    return saved(document)


def paragraph(text: str, run: str = "", before: str = "") -> str:
    return f"<w:p>{before}<w:r><w:rPr>{run}</w:rPr><w:t>{text}</w:t></w:r></w:p>"


def test_structure_stays() -> None:
    document = docx.Document()
    document.core_properties.title = "Property"
    document.add_paragraph("Leave policy", style="Title")
    document.add_heading("Parents", level=1)
    document.add_paragraph("Every parent.\nEach child.")
    document.add_paragraph("one", style="List Bullet")
    document.add_paragraph("two", style="List Number")
    table = document.add_table(rows=0, cols=3)
    for cells in (("Who", "Weeks", "Paid"), ("Mother", "20", "full"), ("Father", "8", "")):
        for cell, text in zip(table.add_row().cells, cells, strict=True):
            cell.text = text
    document.add_heading("Twins", level=2)
    document.add_paragraph("Twice.")
    parsed = read(saved(document))
    found = [(b.kind.value, b.headings, parsed.text[b.start : b.end]) for b in parsed.blocks]
    top = ("Leave policy",)
    assert found == [
        ("heading", (), "Leave policy"),
        ("heading", top, "Parents"),
        ("paragraph", (*top, "Parents"), "Every parent.\nEach child."),
        ("list", (*top, "Parents"), "- one\n- two"),
        ("table", (*top, "Parents"), "Who: Mother; Weeks: 20; Paid: full\nWho: Father; Weeks: 8"),
        ("heading", (*top, "Parents"), "Twins"),
        ("paragraph", (*top, "Parents", "Twins"), "Twice."),
    ]
    assert parsed.title == "Leave policy"


def test_titles() -> None:
    document = docx.Document()
    document.add_paragraph("text")
    assert read(saved(document)).title == "A file"
    document.core_properties.title = "Property"
    assert read(saved(document)).title == "Property"
    document.add_heading("Heading", level=1)
    assert read(saved(document)).title == "Heading"


def test_content_controls_links_and_insertions_are_read() -> None:
    controlled = f"<w:sdt><w:sdtContent>{paragraph('controlled')}</w:sdtContent></w:sdt>"
    inserted = "<w:ins w:id='1'><w:r><w:t>inserted</w:t></w:r></w:ins>"
    linked = "<w:hyperlink><w:r><w:t>, linked</w:t></w:r></w:hyperlink>"
    assert read(with_body(f"{controlled}<w:p>{inserted}{linked}</w:p>")).text == "controlled\n\ninserted, linked"


@pytest.mark.parametrize(
    "hidden",
    [
        paragraph("SECRET", "<w:vanish/>"),
        paragraph("SECRET", "<w:vanish w:val='true'/>"),
        paragraph("SECRET", "<w:sz w:val='2'/>"),
        paragraph("SECRET", "<w:color w:val='ffffff'/>"),
        "<w:p><w:del w:id='1'><w:r><w:delText>SECRET</w:delText></w:r></w:del></w:p>",
        "<w:p><w:moveFrom w:id='1'><w:r><w:t>SECRET</w:t></w:r></w:moveFrom></w:p>",
        "<w:p><w:r><w:instrText>SECRET</w:instrText></w:r></w:p>",
    ],
)
def test_hidden_and_deleted_text_is_left_out(hidden: str) -> None:
    assert read(with_body(paragraph("before") + hidden + paragraph("after"))).text == "before\n\nafter"


@pytest.mark.parametrize(
    "shown",
    [
        paragraph("SHOWN", "<w:vanish w:val='0'/>"),
        paragraph("SHOWN", "<w:sz w:val='16'/>"),
        paragraph("SHOWN", "<w:color w:val='FFFFFF'/><w:shd w:val='clear' w:fill='000000'/>"),
        paragraph("SHOWN", "<w:color w:val='FFFFFF'/>", "<w:pPr><w:shd w:val='clear' w:fill='000000'/></w:pPr>"),
        "<w:tbl><w:tr><w:tc>" + paragraph("SHOWN", "<w:color w:val='FFFFFF'/>") + "</w:tc></w:tr></w:tbl>",
    ],
)
def test_visible_text_stays(shown: str) -> None:
    assert "SHOWN" in read(with_body(shown)).text


def test_merged_cells() -> None:
    def cell(text: str, properties: str = "") -> str:
        return f"<w:tc><w:tcPr>{properties}</w:tcPr>{paragraph(text)}</w:tc>"

    rows = [
        cell("Land") + cell("Days") + cell("Note"),
        cell("Spain", "<w:vMerge w:val='restart'/>") + cell("25") + cell("a"),
        cell("", "<w:vMerge/>") + cell("both", "<w:gridSpan w:val='2'/>"),
    ]
    text = read(with_body(f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>")).text
    assert text == "Land: Spain; Days: 25; Note: a\nLand: Spain; Days: both"


def test_a_table_within_a_table_is_not_lost() -> None:
    inner = f"<w:tbl><w:tr><w:tc>{paragraph('inner')}</w:tc></w:tr></w:tbl>"
    outer = f"<w:tbl><w:tr><w:tc>{paragraph('outer')}{inner}</w:tc></w:tr></w:tbl>"
    assert read(with_body(outer)).text == "outer inner"


# What cannot be read.


def a_document() -> bytes:
    return with_body(paragraph("text"))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_off_file_is_told(share: float) -> None:
    content = a_document()
    assert "cut off" in refused(content[: int(len(content) * share)])


def test_a_damaged_file_is_told() -> None:
    content = a_document()
    for place in range(0, len(content), 211):
        try:
            assert "text" in read(content[:place] + b"\xff\x00\x01" + content[place + 3 :]).text
        except UnparsableError as error:
            assert str(error).endswith(".")  # noqa: PT017 - either outcome is right


def rezipped(content: bytes, change: Callable[[str, bytes], bytes], **extra: bytes) -> bytes:
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new,
    ):
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
        for name, bytes_ in extra.items():
            new.writestr(name, bytes_)
    return target.getvalue()


def test_other_archives_are_told() -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    assert "another kind of ZIP archive" in refused(target.getvalue())
    sheet = rezipped(
        a_document(), lambda _, content: content.replace(b"wordprocessingml.document.main", b"spreadsheetml.sheet.main")
    )
    assert "another kind of ZIP archive" in refused(sheet)


def test_malformed_xml_is_told() -> None:
    def cut(name: str, content: bytes) -> bytes:
        return content[:-9] if name == "word/document.xml" else content

    assert "damaged" in refused(rezipped(a_document(), cut))


def test_entities_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "SECRET"><!ENTITY f SYSTEM "file:///etc/passwd">]>'

    def add(name: str, content: bytes) -> bytes:
        if name != "word/document.xml":
            return content
        head, _, rest = content.partition(b"?>")
        return head + b"?>" + bomb + rest.replace(b">text<", b">text&a;&f;<")

    text = read(rezipped(a_document(), add)).text
    assert "SECRET" not in text
    assert "root:" not in text


def test_an_archive_that_unpacks_without_end_is_refused() -> None:
    def grow(name: str, content: bytes) -> bytes:
        return content.replace(b"text", b"a" * 100_000_000) if name == "word/document.xml" else content

    bomb = rezipped(a_document(), grow)
    assert len(bomb) < 1_000_000
    started = time.perf_counter()
    assert "unpacks to far more" in refused(bomb)
    assert time.perf_counter() - started < 20


def peak_bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_an_archive_that_lies_about_sizes_is_not_believed() -> None:
    """Its directory promises 100 bytes where 100 million are packed; the negative control unpacks in one go."""
    content = rezipped(a_document(), lambda _, content: content, **{"word/extra.xml": b" " * 100_000_000})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entry = archive.getinfo("word/extra.xml")
    true = struct.pack("<3L", entry.CRC, entry.compress_size, entry.file_size)
    lying = content.replace(true, struct.pack("<3L", zlib.crc32(b" " * 100), entry.compress_size, 100))
    assert peak_bytes(lambda: zipfile.ZipFile(io.BytesIO(lying)).read("word/extra.xml")) > 90_000_000
    assert peak_bytes(lambda: read(lying)) < 20_000_000
    assert read(lying).text == "text"


def test_many_entries_are_refused() -> None:
    content = rezipped(a_document(), lambda _, content: content, **{f"x{number}.xml": b"" for number in range(3_000)})
    assert "unpacks to far more" in refused(content)


def test_pictures_are_not_unpacked() -> None:
    content = rezipped(a_document(), lambda _, content: content, **{"word/media/a.bin": bytes(70_000_000)})
    started = time.perf_counter()
    assert read(content).text == "text"
    assert time.perf_counter() - started < 20


def test_deep_nesting_is_told_or_read() -> None:
    refused(rezipped(a_document(), lambda _, content: content.replace(b"<w:body>", b"<w:body>" + b"<w:sdt>" * 5_000)))


WHITE = '<w:r><w:rPr><w:color w:val="FFFFFF"/></w:rPr><w:t>x</w:t></w:r>'
ROW = "<w:tr><w:tc><w:p><w:r><w:t>x</w:t></w:r></w:p></w:tc></w:tr>"


def with_raw_body(xml: str) -> bytes:
    """A document whose body is this text, put in without a library."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(saved(docx.Document()))) as made:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as changed:
            for name in made.namelist():
                body = f"<w:document {nsdecls('w')}><w:body>{xml}</w:body></w:document>".encode()
                changed.writestr(name, body if name == "word/document.xml" else made.read(name))
    return target.getvalue()


@pytest.mark.parametrize(
    "xml",
    [
        f"<w:p>{WHITE}</w:p>" * 40_000 + paragraph("seen"),
        f"<w:p>{WHITE * 40_000}</w:p>" + paragraph("seen"),
        "<w:sdt>" * 200 + f"<w:p>{WHITE}</w:p>" * 40_000 + paragraph("seen") + "</w:sdt>" * 200,
        "<w:tbl>" + (ROW * 500 + "<w:tr><w:tc><w:tbl>") * 60 + ROW + "</w:tbl></w:tc></w:tr>" * 60 + "</w:tbl>",
    ],
    ids=["paragraphs", "runs", "deep", "tables"],
)
def test_white_text_and_nested_tables_take_no_longer_for_what_is_around_them(xml: str) -> None:
    """A hundred kilobytes of white runs took more than 40 seconds: each looked through all that stands around it."""
    content = with_raw_body(xml)
    started = time.process_time()
    assert read(content).text
    assert time.process_time() - started < 15


def test_a_table_of_empty_cells_without_end_is_refused() -> None:
    """Each cell says it is fifty wide."""
    cells = '<w:tc><w:tcPr><w:gridSpan w:val="50"/></w:tcPr></w:tc>' * 100
    assert "characters of text" in refused(with_raw_body(f"<w:tbl>{f'<w:tr>{cells}</w:tr>' * 500}</w:tbl>"))


def test_what_is_known_of_what_stands_around_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    may_shade = word._may_shade
    monkeypatch.setattr(word, "_may_shade", lambda element: asked.append(element.tag) or may_shade(element))
    read(with_raw_body(f"<w:p>{WHITE * 1_000}</w:p>" * 3 + paragraph("seen")))
    assert len(asked) <= 3 + 2
