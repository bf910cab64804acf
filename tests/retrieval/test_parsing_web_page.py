"""HTML as its readers see it, and nothing they do not see."""

import time

import pytest

from retrieval.parsing import ParsedDocument, UnparsableError, parse


def page(html: str) -> ParsedDocument:
    return parse(html.encode(), "text/html", "x.html")


def blocks(html: str) -> list[tuple[str, str]]:
    document = page(html)
    return [(block.kind.value, document.text[block.start : block.end]) for block in document.blocks]


def test_blocks_come_in_reading_order() -> None:
    html = """<title>Site</title><body>loose<h1>Big<br>head</h1><p>One <b>b</b>old<br>two</p>
    <div>three<section>four</section>five</div><ul><li>a<li>b <ul><li>c</ul><li><p>d</p><p>e</p></ul><dl><dt>term
    <dd>meaning</dl><pre>  code
    more</pre><footer>foot</footer>"""
    assert blocks(html) == [
        ("paragraph", "loose"),
        ("heading", "Big head"),
        ("paragraph", "One bold\ntwo"),
        ("paragraph", "three"),
        ("paragraph", "four"),
        ("paragraph", "five"),
        ("list", "- a\n- b\n  - c\n- d\n  e"),
        ("list", "term\n  meaning"),
        ("code", "  code\n    more"),
        ("paragraph", "foot"),
    ]


def test_titles() -> None:
    assert page("<title> A\n site </title><p>x").title == "A site"
    assert page("<title>A site</title><h1>Page</h1><p>x").title == "Page"
    assert page("<h2>Page</h2><p>x").title == "X"


def test_marks_that_carry_meaning_stay() -> None:
    assert page("<p>10<sup>3</sup>, the 1<sup>st</sup>, <del>old</del> new").text == "10^3, the 1st, ~~old~~ new"


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>SECRET</p>",
        "<div style='display: none'><p>SECRET</p></div>",
        "<p style='DISPLAY:NONE !important'>SECRET",
        "<p style='visibility:hidden'>SECRET",
        "<span style='opacity:0.01'>SECRET</span>",
        "<span style='font-size:0'>SECRET</span>",
        "<span style='font-size:1px'>SECRET</span>",
        "<span style='font-size:0.05em'>SECRET</span>",
        "<span style='color:transparent'>SECRET</span>",
        "<span style='color:#123456;background-color:#123456'>SECRET</span>",
        "<span style='color:white'>SECRET</span>",
        "<span style='color: rgb(255, 255, 255)'>SECRET</span>",
        "<font color=#FFFFFF>SECRET</font>",
        "<div style='position:absolute; left:-9999px'>SECRET</div>",
        "<div style='text-indent:-100em'>SECRET</div>",
        "<div style='height:0;overflow:hidden'>SECRET</div>",
        "<div style='clip:rect(0,0,0,0)'>SECRET</div>",
        "<div style='transform:scale(0)'>SECRET</div>",
        "<style>.gone{display:none}</style><p class='a gone'>SECRET",
        "<style>/* .x{} */ a{} #gone , p.b { font-size : 0 }</style><p id=gone>SECRET",
        "<style>@media print{.x{color:red}} .gone{display:none}</style><p class=gone>SECRET",
        "<!-- SECRET --><!--[if mso]>SECRET<![endif]-->",
        "<script>SECRET</script><style>SECRET</style><template>SECRET</template><noscript>SECRET</noscript>",
        "<nav>SECRET</nav><svg><text>SECRET</text></svg><iframe>SECRET</iframe><object>SECRET</object>",
        "<dialog>SECRET</dialog><select><option>SECRET</select><textarea>SECRET</textarea>",
        "<img alt=SECRET title=SECRET><a href=SECRET title=SECRET>shown</a><meta name=description content=SECRET>",
    ],
)
def test_hidden_text_is_left_out(hidden: str) -> None:
    text = page(
        f"<p>before</p>{hidden}<p>after</p>" if not hidden.endswith("SECRET") else f"<p>before</p><p>after</p>{hidden}"
    ).text
    assert "SECRET" not in text
    assert "before" in text
    assert "after" in text


@pytest.mark.parametrize(
    "shown",
    [
        "<p style='display:block'>SHOWN",
        "<p style='font-size:0.9em'>SHOWN",
        "<p style='font-size:80%'>SHOWN",
        "<p style='color:white;background:black'>SHOWN",
        "<table bgcolor=black><tr><td><font color=white>SHOWN</font></td></tr></table>",
        "<p class=dark><span style='color:white'>SHOWN</span>",
        "<p style='left:-10px;opacity:0.9;width:0;height:auto'>SHOWN",
        "<style>.a .b{display:none}</style><p class=b>SHOWN",
        "<style>@media print{.b{display:none}}</style><p class=b>SHOWN",
        "<style>.b{display:none} .b{display:block}</style><p class=b>SHOWN",
        "<style>/* .b{display:none} */</style><p class=b>SHOWN",
        "<details><summary>More</summary>SHOWN</details><dialog open>SHOWN</dialog>",
        "<p>be<!-- -->SHOWN<span hidden>x</span> after",
    ],
)
def test_visible_text_stays(shown: str) -> None:
    assert "SHOWN" in page(shown).text


def test_tables_name_their_columns() -> None:
    html = """<table><thead><tr><th>Country<th>Days<th></thead>
    <tr><td rowspan=2>Spain<td>25<td>a<ul><li>x<li>y.<li>z</ul>
    <tr><td>26<td><p>b</p><p>c</p><tr><td colspan=2>all<td>d</table>"""
    assert blocks(html) == [
        ("table", "Country: Spain; Days: 25; a, x, y. z\nCountry: Spain; Days: 26; b c\nCountry: all; d"),
    ]


def test_a_table_without_header_keeps_its_rows() -> None:
    assert blocks("<table><tr><td>Name<td>Bob<tr><td>Role<td>Cook</table>") == [("table", "Name | Bob\nRole | Cook")]
    guessed = "<table><tr><td>Item<td>Limit<td>Note<tr><td>Tea<td>5<td>daily</table>"
    assert blocks(guessed) == [("table", "Item: Tea; Limit: 5; Note: daily")]


def test_tables_that_only_arrange_the_page_are_read_through() -> None:
    mail = "<table><tr><td><h1>News</h1><p>text</p></td></tr></table><table role=presentation><tr><td>a<td>b</table>"
    assert blocks(mail) == [("heading", "News"), ("paragraph", "text"), ("paragraph", "a"), ("paragraph", "b")]


@pytest.mark.parametrize("span", ["0", "-1", "x", "99999999999999999999", "1000000", "²"])
def test_absurd_spans_do_no_harm(span: str) -> None:
    text = page(f"<table><tr><th colspan={span}>a<th>b<tr><td rowspan={span}>c<td>d</table>").text
    assert "c" in text
    assert "d" in text


def test_nesting_beyond_the_parser_is_told_instead_of_losing_the_rest() -> None:
    assert page("<div>" * 1_000 + "deep").text == "deep"
    with pytest.raises(UnparsableError, match="nested too deep"):
        page("<div>" * 100_000 + "deep")


def test_markup_without_text_is_told() -> None:
    for html in ("<p></p>", "<!-- x -->", "<p hidden>x</p>", "<html></html>"):
        with pytest.raises(UnparsableError, match="no text"):
            page(html)


def test_deep_lists_do_not_grow_by_their_indent() -> None:
    assert len(page("<ul><li>a" * 900).text) < 900 * 20


def test_text_between_hidden_elements_takes_no_longer_the_more_there_are() -> None:
    """Taken out one by one, each put the text after it behind all the text before it: minutes for ten megabytes."""
    started = time.process_time()
    document = parse(b"<p>a" + b"<i hidden>secret</i>bcde" * 200_000, "text/html", "x.html")
    assert len(document.text) == 800_001
    assert time.process_time() - started < 15
