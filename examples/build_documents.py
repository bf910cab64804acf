"""Writes the PDF and DOCX documents of the sample company from the Markdown pages in `sources/`.

The written files are committed, so nobody needs to run this to try the product. Run it after changing a page:

    python examples/build_documents.py

The same pages give the same bytes with the same versions of the libraries: no time, user or random identifier enters.
"""
# ruff: noqa: INP001 - a script beside its pages, not a package

import io
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docx import Document
from markdown_it import MarkdownIt
from markdown_it.token import Token
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Flowable, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

HERE = Path(__file__).parent
EARLIEST_ZIP_DATE = (1980, 1, 1, 0, 0, 0)
_GAP_POINTS = 8
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True, slots=True)
class Block:
    """One piece of a page: `kind` is h1, h2, p, ol, ul, table or break; `rows` holds its lines of cells."""

    kind: str
    rows: tuple[tuple[str, ...], ...] = ()


def blocks(markdown: str) -> list[Block]:
    """The page as blocks, in order, without inline marks."""
    found: list[Block] = []
    tokens = _MARKDOWN.parse(markdown)
    position = 0
    while position < len(tokens):
        end = _closing(tokens, position)
        found.append(_block(tokens[position : end + 1]))
        position = end + 1
    return found


def build_pdf(page: list[Block]) -> bytes:
    """The page as a PDF file."""
    buffer = io.BytesIO()
    title = page[0].rows[0][0]
    pdf = SimpleDocTemplate(buffer, pagesize=A4, title=title, author="Tamarel Instruments", invariant=True)
    pdf.build([flowable for block in page for flowable in _flowables(block)])
    return buffer.getvalue()


def build_docx(page: list[Block]) -> bytes:
    """The page as a Word file."""
    document = Document()
    document.core_properties.author = "Tamarel Instruments"
    document.core_properties.title = page[0].rows[0][0]
    for block in page:
        _add_to(document, block)
    buffer = io.BytesIO()
    document.save(buffer)
    return _without_times(buffer.getvalue())


BUILDERS: dict[str, Callable[[list[Block]], bytes]] = {".pdf": build_pdf, ".docx": build_docx}
DOCUMENTS = (
    "board/minutes-2026-10-21.pdf",
    "engineering/calibration-procedure.pdf",
    "finance/budget-2027.pdf",
    "handbook/benefits.docx",
    "legal/distributor-agreement-nordlab.docx",
    "legal/retention-schedule.pdf",
    "people/parental-leave.docx",
)


def build_all(target: Path) -> list[Path]:
    """Write every document below `target` and return the paths."""
    written = []
    for name in DOCUMENTS:
        source, path = (HERE / "sources" / name).with_suffix(".md"), target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BUILDERS[path.suffix](blocks(source.read_text(encoding="utf-8"))))
        written.append(path)
    return written


def _closing(tokens: list[Token], start: int) -> int:
    depth = 0
    for position in range(start, len(tokens)):
        depth += tokens[position].nesting
        if depth == 0:
            return position
    message = "markdown-it left a block open"
    raise ValueError(message)


def _block(tokens: list[Token]) -> Block:
    kind = tokens[0].tag
    if kind == "hr":
        return Block("break")
    if kind == "table":
        return Block("table", _table_rows(tokens))
    return Block(kind, tuple((_plain(token),) for token in tokens if token.type == "inline"))


def _table_rows(tokens: list[Token]) -> tuple[tuple[str, ...], ...]:
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_plain(token))
    return tuple(tuple(row) for row in rows)


def _plain(token: Token) -> str:
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children or [])


def _flowables(block: Block) -> list[Flowable]:
    styles = getSampleStyleSheet()
    if block.kind == "break":
        return [PageBreak()]
    if block.kind == "table":
        return [Table(block.rows, style=[("GRID", (0, 0), (-1, -1), 0.5, "grey")]), Spacer(0, _GAP_POINTS)]
    style = styles[{"h1": "Title", "h2": "Heading2"}.get(block.kind, "BodyText")]
    return [Paragraph(escape(line), style) for line in _lines(block)]


def _lines(block: Block) -> list[str]:
    texts = [row[0] for row in block.rows]
    if block.kind == "ol":
        return [f"{number}. {text}" for number, text in enumerate(texts, start=1)]
    return texts


def _add_to(document: "Document", block: Block) -> None:
    if block.kind == "break":
        document.add_page_break()
    elif block.kind == "table":
        table = document.add_table(rows=0, cols=len(block.rows[0]), style="Table Grid")
        for row in block.rows:
            for cell, text in zip(table.add_row().cells, row, strict=True):
                cell.text = text
    else:
        style = {"h1": "Title", "h2": "Heading 1", "ol": "List Number", "ul": "List Bullet"}.get(block.kind, "Normal")
        for row in block.rows:
            document.add_paragraph(row[0], style=style)


def _without_times(archive: bytes) -> bytes:
    """The same archive with every entry dated alike, since python-docx writes the time of the run."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(zipfile.ZipInfo(name, EARLIEST_ZIP_DATE), old.read(name), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


if __name__ == "__main__":
    for built in build_all(HERE / "company"):
        sys.stdout.write(f"{built.relative_to(HERE)}\n")
