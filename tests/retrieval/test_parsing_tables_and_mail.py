"""CSV rows that say what they mean, and e-mails that say who wrote them."""

import time
from email.message import EmailMessage

import pytest

from retrieval.parsing import ParsedDocument, UnparsableError, parse


def table(content: str | bytes) -> str:
    return parse(content.encode() if isinstance(content, str) else content, "text/csv", "x.csv").text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_each_row_names_its_columns_whatever_the_delimiter(delimiter: str) -> None:
    rows = [
        ["name", "days off", "note"],
        ["Ann", "25", "a: b"],
        ["Bob", "", ""],
        ["", "", ""],
        ["Cy", "30", "x", "more"],
    ]
    content = "\r\n".join(delimiter.join(row) for row in rows)
    assert table(content) == "name: Ann; days off: 25; note: a: b\nname: Bob\nname: Cy; days off: 30; note: x; more"


def test_quotes_and_line_breaks_inside_fields() -> None:
    assert table('a,b\n"one, ""two""","three\nfour"\n') == 'a: one, "two"; b: three four'


def test_decimal_commas_do_not_fool_the_delimiter() -> None:
    assert table("article;price\nA;1,50\nB;2,25\n") == "article: A; price: 1,50\narticle: B; price: 2,25"


def test_rows_without_a_header_stay_rows() -> None:
    assert table("1,2\n3,4") == "1 | 2\n3 | 4"


def test_a_header_alone_and_a_single_column() -> None:
    assert table("name,days") == "name | days"
    assert table("name\nAnn\nBob") == "name: Ann\nname: Bob"


def test_long_column_names_are_shortened() -> None:
    assert len(table(f"{'n' * 500},b\n1,2")) < 80


def test_an_open_quote_is_told() -> None:
    with pytest.raises(UnparsableError, match="quote is left open"):
        table('a,b\n"' + "x,\n" * 100_000)


def test_a_table_that_would_grow_without_bound_is_refused() -> None:
    wide = ",".join(f"a column named {number}" for number in range(1_000))
    with pytest.raises(UnparsableError, match="characters of text"):
        table(wide + "\n" + ("1," * 1_000 + "\n") * 1_000)


def mail(content: bytes) -> ParsedDocument:
    return parse(content, "message/rfc822", "x.eml")


def message(**headers: str) -> EmailMessage:
    made = EmailMessage()
    for name, value in headers.items():
        made[name] = value
    return made


def test_a_message_tells_who_wrote_what_when() -> None:
    made = message(Subject="Grüße aus Köln", From="Jörg <j@example.org>", To="a@example.org, b@example.org")
    made["Date"] = "Tue, 05 Mar 2024 10:00:00 +0200"
    made.set_content("Dear all,\n\nplease\n\n- read\n- sign\n")
    made.add_alternative("<p>HTML twin</p>", subtype="html")
    made.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="Verträge.pdf")
    inner = message(Subject="INNER")
    inner.set_content("INNER BODY")
    made.add_attachment(inner)
    document = mail(made.as_bytes())
    assert document.title == "Grüße aus Köln"
    assert document.text == (
        "Subject: Grüße aus Köln\nFrom: Jörg <j@example.org>\nTo: a@example.org, b@example.org\n"
        "Date: 2024-03-05 08:00 UTC\n\nDear all,\n\nplease\n\n- read\n- sign\n\n"
        "Attachments:\n- Verträge.pdf\n- without a name"
    )


def test_a_message_in_html_alone_is_read_as_a_page() -> None:
    made = message(Subject="News")
    made.set_content("<h1>Head</h1><p>shown</p><p style='display:none'>HIDDEN</p>", subtype="html")
    text = mail(made.as_bytes()).text
    assert "shown" in text
    assert "HIDDEN" not in text


def test_an_empty_plain_part_gives_way_to_html() -> None:
    made = message(Subject="News")
    made.set_content(" \n")
    made.add_alternative("<p>from html</p>", subtype="html")
    assert "from html" in mail(made.as_bytes()).text


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x",
        b"Subject: =?utf-8?b?!!!?=\n\nbody",
        b"Subject: =?no-such-charset?q?x?=\nDate: yesterday\n\nbody",
        b"Date: Mon, 99 Foo 99999 99:99:99 +9999\nFrom: \xff\xfe\n\nbody",
        b"Content-Type: multipart/mixed\n\nbody",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nbody",
        b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n!!!not base64",
        b"Content-Type: nonsense\nContent-Transfer-Encoding: nonsense\n\nbody",
        b"From sender Mon Jan 1\nSubject: x\n\nbody",
    ],
)
def test_broken_messages_are_read_as_far_as_they_go(content: bytes) -> None:
    assert mail(content).blocks


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\nContent-Type: text/plain" + b';a="' * 50_000 + b"\n\nbody",
        b"Subject: x\nContent-Type: text/plain" + b"\n ;a=" * 50_000 + b"\n\nbody",
        b"Subject: x\n"
        + b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(400))
        + b"\na" * 100_000,
        b"Subject: x\n" + b"Content-Type: message/rfc822\n\n" * 50_000,
    ],
)
def test_messages_made_to_be_slow_are_refused(content: bytes) -> None:
    with pytest.raises(UnparsableError):
        mail(content)


def test_short_rows_under_a_wide_header_cost_what_they_hold() -> None:
    """Each row was laid beside the whole header: hours for six megabytes."""
    header = ",".join(f"c{number}" for number in range(200_000))
    started = time.process_time()
    document = parse(f"{header}\n{'x' * 9}\n".encode() + b"x\n" * 200_000, "text/csv", "x.csv")
    assert document.text.startswith("c0: xxxxxxxxx\nc0: x\n")
    assert time.process_time() - started < 15
