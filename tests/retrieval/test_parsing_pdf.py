"""PDF: headings, paragraphs and tables from lines, and a sentence for every file that cannot be read."""

import contextlib
import io
import time
import zlib
from collections.abc import Callable

import pytest
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen.canvas import Canvas

from retrieval.parsing import ParsedDocument, UnparsableError, parse, pdf

Draw = Callable[[Canvas], None]


def made(*pages: Draw, title: str = "") -> bytes:
    target = io.BytesIO()
    canvas = Canvas(target, pagesize=A4)
    if title:
        canvas.setTitle(title)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return target.getvalue()


def lines(*texts: str, size: int = 10, x: int = 72, y: int = 700) -> Draw:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        for number, text in enumerate(texts):
            canvas.drawString(x, y - number * 1.3 * size, text)

    return draw


def both(*draws: Draw) -> Draw:
    def draw(canvas: Canvas) -> None:
        for one in draws:
            one(canvas)

    return draw


def read(content: bytes) -> ParsedDocument:
    return parse(content, "application/pdf", "folder/a-file.pdf")


def blocks(document: ParsedDocument) -> list[tuple[str, int | None, str]]:
    return [(block.kind.value, block.page, document.text[block.start : block.end]) for block in document.blocks]


PROSE = (
    "The first sentence of this paragraph runs over the end of the line and is con-",
    "tinued here in the second line, which also runs over its end as lines do when",
    "they are set. It ends here.",
    "The next paragraph begins on a line of its own and runs on for a while so that",
    "it has a second line.",
)


def test_larger_type_makes_headings_and_lines_make_paragraphs() -> None:
    first = both(lines("Travel policy", size=20, y=760), lines("Hotels", size=14, y=730), lines(*PROSE))
    second = both(lines("Trains", size=14, y=730), lines("1. Book early.", "2. Second class is", "paid in full."))
    document = read(made(first, second, title="Microsoft Word - x.doc"))
    assert blocks(document) == [
        ("heading", 1, "Travel policy"),
        ("heading", 1, "Hotels"),
        (
            "paragraph",
            1,
            " ".join(PROSE[:3]).replace("con- tinued", "continued"),
        ),
        (
            "paragraph",
            1,
            "The next paragraph begins on a line of its own and runs on for a while so that it has a second line.",
        ),
        ("heading", 2, "Trains"),
        ("list", 2, "1. Book early.\n2. Second class is paid in full."),
    ]
    assert document.blocks[-1].headings == ("Travel policy", "Trains")
    assert document.title == "Travel policy"


@pytest.mark.parametrize(
    ("property_", "title"),
    [
        ("Annual report", "Annual report"),
        ("Microsoft Word - draft.docx", "A file"),
        ("untitled", "A file"),
        ("", "A file"),
    ],
)
def test_the_title_without_headings(property_: str, title: str) -> None:
    assert read(made(lines(*PROSE), title=property_)).title == title


def test_what_stands_side_by_side_is_a_table() -> None:
    columns = [
        lines("Country", "Spain", "France", x=72),
        lines("Days off", "25", "30", x=200),
        lines("Notes", "none", "more", x=300),
    ]

    def by_rows(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for row, cells in enumerate(
            [("Country", "Days off", "Notes"), ("Spain", "25", "none"), ("France", "30", "more")]
        ):
            for column, cell in enumerate(cells):
                canvas.drawString(72 + 100 * column, 700 - 13 * row, cell)

    text = "Country: Spain; Days off: 25; Notes: none\nCountry: France; Days off: 30; Notes: more"
    assert blocks(read(made(by_rows))) == [("table", 1, text)]
    assert "Spain" in read(made(both(*columns))).text


def test_running_heads_and_feet_are_left_out() -> None:
    def page(number: int) -> Draw:
        body = lines(f"Body of page {'one two three four'.split()[number]}.", y=600)
        return both(lines("ACME confidential", y=800), body, lines(f"Page {number + 1} of 4", y=40))

    text = read(made(*map(page, range(4)))).text
    assert text == "Body of page one.\n\nBody of page two.\n\nBody of page three.\n\nBody of page four."


def test_ligatures_are_letters() -> None:
    assert pdf._joined([pdf._Piece("e\ufb03cient \ufb01le", 10, 0)]).__next__().text == "efficient file"


def protected(password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(made(lines(*PROSE)))))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="AES-256")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def refused(content: bytes) -> str:
    with pytest.raises(UnparsableError) as caught:
        read(content)
    return str(caught.value)


def test_a_password_is_told_unless_it_is_empty() -> None:
    assert "protected by a password" in refused(protected("secret"))
    assert "The first sentence" in read(protected("")).text


def test_a_scan_without_text_is_told() -> None:
    assert "text recognition" in refused(made(lambda canvas: canvas.rect(10, 10, 100, 100)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_a_cut_off_file_is_told(share: float) -> None:
    content = made(lines(*PROSE))
    assert "cut off" in refused(content[: int(len(content) * share)])


def test_a_damaged_file_is_told() -> None:
    content = made(lines(*PROSE))
    assert refused(b"%PDF-1.7\nnothing of use\n%%EOF").endswith(".")
    assert refused(content.replace(b"/Pages", b"/Bages")).endswith(".")
    for place in range(0, len(content) - 40, 97):
        try:
            read(content[:place] + b"\xff\x00)>>" + content[place + 5 :])
        except UnparsableError as error:
            assert str(error).endswith(".")  # noqa: PT017 - either outcome is right


def handmade(content: bytes, resources: bytes = b"", extra: bytes = b"") -> bytes:
    """A file of one page with this compressed content; pypdf finds the objects although there is no table of them."""
    packed = zlib.compress(content, 9)
    return b"".join(
        [
            b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
            b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<<",
            b"/Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>",
            resources,
            b">>>>endobj\n4 0 obj<</Filter/FlateDecode/Length %d>>stream\n" % len(packed),
            packed,
            b"\nendstream endobj\n",
            extra,
            b"trailer<</Root 1 0 R>>\nstartxref\n0\n%%EOF",
        ]
    )


def test_a_handmade_file_is_read() -> None:
    """Positive control for the hostile ones below."""
    assert read(handmade(b"BT /F 12 Tf (hello there) Tj ET")).text == "hello there"


def test_a_page_that_unpacks_without_end_is_refused() -> None:
    started = time.perf_counter()
    assert refused(handmade(b"BT /F 12 Tf (" + b"a" * 30_000_000 + b") Tj ET")).endswith(".")
    assert refused(handmade(b" " * 100_000_000)).endswith(".")
    assert time.perf_counter() - started < 60


def test_reading_stops_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = handmade(b"BT /F 12 Tf " + b"(a) Tj " * 20_000 + b"ET")
    assert read(slow).text
    monkeypatch.setattr(pdf, "_MOST_SECONDS", 0.0)
    assert "too long" in refused(slow)


def test_forms_within_forms_stop_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form draws the next one twenty times: without a limit there would be no end to it."""
    forms = b"".join(
        b"%d 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>/Length 120>>stream\n"
        b"%s\nendstream endobj\n" % (number, number + 1, (b"/X Do " * 20).ljust(119))
        for number in range(10, 30)
    )
    monkeypatch.setattr(pdf, "_MOST_SECONDS", 1.0)
    started = time.perf_counter()
    refused(handmade(b"/X Do", b"/XObject<</X 10 0 R>>", forms))
    assert time.perf_counter() - started < 60


def test_too_many_pages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_MOST_PAGES", 1)
    assert "2 pages, more than the 1" in refused(made(lines("a"), lines("b")))


def test_a_page_that_lists_itself_does_not_go_round_for_ever() -> None:
    content = handmade(b"BT /F 12 Tf (hello) Tj ET").replace(b"/Kids[3 0 R]", b"/Kids[2 0 R]")
    refused(content)


def test_nothing_of_the_file_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    for share in (10, 40, 70):
        content = made(lines(*PROSE))
        place = len(content) * share // 100
        with contextlib.suppress(UnparsableError):
            read(content[:place] + b"SECRET" + content[place + 6 :])
    assert "SECRET" not in caplog.text
