"""What a reader sees of dressed-up text, and where it stands in the original."""

import pytest

from policies.redaction.normalise import View, codes, joined, normalise, prose, seen, without_addresses, without_links


def original(text: str, view: View, part: str) -> str:
    start, end = view.original(at := view.text.index(part), at + len(part))
    return text[start:end]


@pytest.mark.parametrize(
    ("text", "seen", "stands"),
    [
        ("call Ad\u200ba Love\u00adlace", "Ada Lovelace", "Ad\u200ba Love\u00adlace"),
        ("\uff41\uff44\uff41\uff20example.com", "ada@example.com", "\uff41\uff44\uff41\uff20example.com"),
        ("**Ada** _Lovelace_ said", "Ada Lovelace", "Ada** _Lovelace"),
        ("Rene\u0301 Muller", "Ren\u00e9 Muller", "Rene\u0301 Muller"),
        ("\u0410d\u0430@example.com", "Ada@example.com", "\u0410d\u0430@example.com"),
        ("\u2463111", "4111", "\u2463111"),
        ("snake_case stays", "snake_case", "snake_case"),
    ],
)
def test_dress_is_taken_off_and_offsets_lead_back(text: str, seen: str, stands: str) -> None:
    view = normalise(text)
    assert seen in view.text
    assert original(text, view, seen) == stands


def test_words_of_another_script_stay_as_they_are() -> None:
    text = "\u0421\u0432\u0435\u0442\u043b\u0430\u043d\u0430 \u0438 \u039d\u03af\u03ba\u03bf\u03c2"
    assert normalise(text).text == text


def test_every_character_knows_its_place() -> None:
    text = "**\ufb01ne** \u200bsnow\u0301 `x` \u2460 end"
    view = normalise(text)
    assert len(view.text) == len(view.starts) == len(view.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(view.starts, view.ends, strict=True))
    assert list(view.starts) == sorted(view.starts)


@pytest.mark.parametrize(
    ("text", "read", "stands"),
    [
        ("is <b>4111</b> 1111.", "4111 1111", "4111</b> 1111"),
        ("is &#52;1&#x31;1&nbsp;1111.", "4111 1111", "&#52;1&#x31;1&nbsp;1111"),
        ("is \u0664\u0661\u0661\u0661.", "4111", "\u0664\u0661\u0661\u0661"),
        ("is \u2779\u2778.", "43", "\u2779\u2778"),
        ("is 4\u03361\u0336.", "41", "4\u03361"),
        ("is 12\u201334\u00b756.", "12-34.56", "12\u201334\u00b756"),
        ("key gh\u0301o\u0335_a1_\u0336b2", "gho_a1_b2", "gh\u0301o\u0335_a1_\u0336b2"),
        ("NINO \u0410\u0412 12 34 56 \u0421", "AB 12 34 56 C", "\u0410\u0412 12 34 56 \u0421"),
        ("rodn\u00e9 \u010d\u00edslo", "rodne cislo", "rodn\u00e9 \u010d\u00edslo"),
        ("\u0418\u041d\u041d: 77", "\u0418\u041d\u041d: 77", "\u0418\u041d\u041d: 77"),
        ("write <ada@example.com>", "<ada@example.com>", "<ada@example.com>"),
    ],
)
def test_codes_are_read_without_dress_and_offsets_lead_back(text: str, read: str, stands: str) -> None:
    view = codes(seen(text))
    assert original(text, view, read) == stands
    assert len(view.text) == len(view.starts) == len(view.ends)


def test_cells_stay_apart_and_lines_join() -> None:
    assert codes(seen("<tr><td>12</td><td>34</td></tr>")).text.split() == ["12", "34"]
    text = "ghp_ab12\n  cd34 and"
    view = joined(codes(seen(text)))
    assert original(text, view, "ghp_ab12cd34") == "ghp_ab12\n  cd34"


def test_prose_has_no_links_tags_or_code() -> None:
    text = "See [Ada Lovelace](https://x.example/Bob/Smith) in <td class='Carl'>`Dora`</td> of a/b/Erik.md | Fay |"
    read = prose(normalise(text))
    assert "Ada Lovelace" in read.text
    assert not {"Bob", "Smith", "Carl", "Erik", "td"} & set(read.text.replace(";", " ").split())
    assert original(text, read, "Fay") == "Fay"


def test_addresses_are_blanked_without_moving_anything() -> None:
    text = "see https://x.example/12345678?mail=a@b.example now"
    assert without_addresses(normalise(text)).endswith("?mail=a@b.example now")
    assert "12345678" not in without_addresses(normalise(text))
    assert len(without_links(text)) == len(text)
    assert "mail" not in without_links(text)
