"""Undo the ways in which text is dressed up, so that recognisers see what a reader sees.

Every view keeps, for each of its characters, where that came from, so that what is found in it can be masked in
the original. Recognising is others' work.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
# Character references as HTML writes them; the names are looked up, and few are longer.
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,24});")
# Blocks of marks that are drawn onto the sign before them.
_MARKS = re.compile("[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u3099\u309a\ufe20-\ufe2f]+")
_MARKS_ON_SIGNS = re.compile(rf"(?<![^\W\d_])(?<!{_MARKS.pattern[:-1]}){_MARKS.pattern}")
# Tags that end a line or a cell, that break a line, and all others, with comments.
_BLOCK_TAG = re.compile(
    r"</?(?:td|th|tr|table|thead|tbody|p|div|li|ul|ol|dl|dt|dd|h[1-6]|section|article|pre|blockquote"
    r"|hr)(?:\s[^<>]{0,300})?/?>",
    re.IGNORECASE,
)
_BREAK_TAG = re.compile(r"<br(?:\s[^<>]{0,100})?/?>", re.IGNORECASE)
_TAG = re.compile(r"<!--[^<>]{0,200}-->|</?[A-Za-z][A-Za-z0-9]{0,9}(?:\s[^<>]{0,300})?/?>")
_LINE_END = re.compile(r"[ \t]{0,8}\n[ \t]{0,8}")
_EMPHASIS = re.compile(r"[*`]+|~~|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
_MIXED_SCRIPT = re.compile(r"(?<![^\W\d_])[^\W\d_]*(?:[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z])[^\W\d_]*")
# Letters of other scripts that are drawn like Latin ones; each maps to one letter, so offsets stay.
_LOOK_ALIKES = (
    str.maketrans("АВЕЅІЈКМНОРСТУХҮҺӀаеѕіјкорсухԁһӏԛԝү", "ABESIJKMHOPCTYXYHIaesijkopcyxdhlqwy")
    | str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧανορυχικτϲϹϳ", "ABEZHIKMNOPTYXavopuxiktcCj")
    | str.maketrans("\u0131\u0251\u0261\u0585\u0578\u057d\u0581\u0570\u0575\u054d\u0555", "iagonughjUO")
)
_TOKEN = re.compile(r"\S+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LATIN_OR_DIGIT = re.compile(r"[A-Za-z0-9]")
_NEAR_CHARS = 4
# Signs that stand for one of ASCII wherever codes are written.
_SIGNS = str.maketrans({
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d", "-"),
    **dict.fromkeys("\u00b7\u2022\u2027\u2219\u22c5\u3002\uff0e\uff61\u2024", "."),
    **dict.fromkeys("\u2044\u2215\u29f8", "/"), **dict.fromkeys("\u2018\u2019\u02bc", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'), **dict.fromkeys("\u2028\u2029\u0085\r", "\n"),
    "\u2236": ":",
    "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D",
})  # fmt: skip
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s<>\"'`|\])]+|\bwww\.[^\s<>\"'`|\])]+", re.IGNORECASE)
# Tags and comments that only change how a word looks, within it.
_IN_A_WORD = re.compile(
    r"(?<=[^\W\d_])(?:</?(?:a|b|big|em|font|i|mark|s|small|span|strong|sub|sup|u|wbr)(?:\s[^<>\n]{0,200})?/?>"
    r"|<!--[^<>]{0,200}-->)(?=[^\W\d_])",
    re.IGNORECASE,
)
# What prose is dressed in and no name is part of: tags, link targets, addresses, code-like words.
_NO_PROSE = re.compile(
    r"</?[a-z][a-z0-9-]*(?:\s[^<>\n]{0,200})?/?>"
    r"|(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:)[^\s<>\"'`|\])]+"
    r"|&[a-z]{2,8};"
    r"|(?<![\w.+-])[\w.+-]++@[\w.-]+"
    r"|(?<!\w)[#/~\\$][\w./:@#-]+"
    r"|(?<![a-z0-9.-])[a-z0-9.-]++(?:[/\\][\w.-]+)+"
    r"|(?<!\w)[^\W_]*+_[\w.-]+"
    r"|[\[\]{}<>^\\]|[-=_]{3,}"
)
_SHORT_LINE_CHARS = 50
# Names do not go on over the target of a link, an at-sign, the wall of a table's cell, or a short line's end.
_BREAK_LINK = re.compile(r"(?<=\])\([^()\s]{1,300}(?:\s\"[^\"\n]{0,100}\")?\)")
_BREAK = re.compile(rf"[@|]|(?<![^\n]{{{_SHORT_LINE_CHARS}}})\n")
_SPACES = re.compile(r"\s{2,}|[\n\r\t]")


@dataclass(frozen=True, slots=True)
class View:
    """A text to search, and where each of its characters stands in the original: `starts[i]` to `ends[i]`."""

    text: str
    starts: list[int] | range
    ends: list[int] | range

    def original(self, start: int, end: int) -> tuple[int, int]:
        """Where the original of `text[start:end]` begins and ends; the slice is not empty."""
        return self.starts[start], self.ends[end - 1]

    def translated(self, table: Mapping[int, str]) -> "View":
        """The view with each sign as the table has it, one for one."""
        return View(self.text.translate(table), self.starts, self.ends)

    def rewritten(self, pattern: re.Pattern[str], rewrite: Callable[[str], str]) -> "View":
        """The view in which each match reads as `rewrite` has it; what stands for it is the whole match."""
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        done = 0
        for match in pattern.finditer(self.text):
            by = rewrite(match[0])
            if by == match[0]:
                continue
            text += (self.text[done : match.start()], by)
            starts += (*self.starts[done : match.start()], *[self.starts[match.start()]] * len(by))
            ends += (*self.ends[done : match.start()], *[self.ends[match.end() - 1]] * len(by))
            done = match.end()
        if not done:
            return self
        return View("".join((*text, self.text[done:])), [*starts, *self.starts[done:]], [*ends, *self.ends[done:]])

    def replaced(self, pattern: re.Pattern[str], by: str) -> "View":
        """The view in which each match reads `by`."""
        return self.rewritten(pattern, lambda _: by)


def seen(text: str) -> View:
    """What a reader sees: references resolved, compatible forms and all digits folded, invisible signs gone."""
    view = View(text, range(len(text)), range(1, len(text) + 1))
    if "&" in text:
        view = view.rewritten(_REFERENCE, _referred)
    if not view.text.isascii():
        view = _composed(view.replaced(_INVISIBLE, "").translated(_DIGITS))
        view = view.replaced(_MARKS_ON_SIGNS, "")
        folded = _MIXED_SCRIPT.sub(lambda match: match[0].translate(_LOOK_ALIKES), view.text)
        view = View(folded, view.starts, view.ends)
    return view


def normalise(text: str) -> View:
    """What a reader sees, without emphasis: the view to look for names and streets in."""
    return seen(text).replaced(_EMPHASIS, "")


def codes(view: View) -> View:
    """What is `seen` as numbers and codes: no tags, one sign for each dash and dot, letters Latin and without marks."""
    if "<" in view.text:
        view = view.replaced(_BLOCK_TAG, "\t").replaced(_BREAK_TAG, "\n").replaced(_TAG, "")
    if not view.text.isascii():
        view = view.replaced(_MARKS, "")
        text = view.text.translate(_AS_IN_CODES)
        view = View(_latin(text), view.starts, view.ends)
    return view.replaced(_EMPHASIS, "")


def joined(view: View) -> View:
    """The view with its lines joined, for codes that were broken where a line ended."""
    return view.replaced(_LINE_END, "")


def without_addresses(view: View) -> str:
    """The text with the paths of web addresses blanked, character for character: numbers in them name pages."""
    if "://" not in view.text and "www." not in view.text:
        return view.text
    return _URL.sub(lambda match: _blank_path(match[0]), view.text)


def without_links(text: str) -> str:
    """The text with web addresses blanked altogether, character for character."""
    return _URL.sub(lambda match: " " * len(match[0]), text) if "://" in text or "www." in text else text


def prose(view: View) -> View:
    """What is left to read aloud: no tags, link targets, addresses or code; semicolons where nothing goes on."""
    if "<" in view.text:
        view = view.replaced(_IN_A_WORD, "")
    return view.replaced(_BREAK_LINK, "; ").replaced(_NO_PROSE, " ").replaced(_BREAK, "; ").replaced(_SPACES, " ")


def _digits_of_all_scripts() -> dict[int, str]:
    """Every sign that stands for one digit, circled ones and those of other scripts too, except the ten of ASCII."""
    found = {}
    for code in (*range(0x80, 0x10000), *range(0x10000, 0x20000)):
        digit = unicodedata.digit(chr(code), None)
        if digit is not None:
            found[code] = str(digit)
    return found


def _unmarked_letters() -> dict[int, str]:
    """Every Latin letter with marks, and itself without them; all of them are among the first signs of Unicode."""
    bases = {code: unicodedata.normalize("NFD", chr(code))[0] for code in range(0x80, 0x2200)}
    return {code: base for code, base in bases.items() if base.isascii() and base.isalpha()}


_DIGITS = _digits_of_all_scripts()
_AS_IN_CODES = _unmarked_letters() | _SIGNS
_LOOK_ALIKE_LETTERS = frozenset(map(chr, _LOOK_ALIKES))


def _blank_path(url: str) -> str:
    cut = min((at for at in (url.find("?"), url.find("#")) if at >= 0), default=len(url))
    return " " * cut + url[cut:]


def _latin(text: str) -> str:
    """The text with look-alikes made Latin in words of theirs that stand in codes; words of a language stay."""
    if not any(letter in _LOOK_ALIKE_LETTERS for letter in text):
        return text
    return _TOKEN.sub(lambda token: _latin_token(text, token), text)


def _latin_token(text: str, token: re.Match[str]) -> str:
    # Capitals count beside a token with a digit or a Latin letter too: `AB 12 34 56 C`.
    near = text[max(0, token.start() - _NEAR_CHARS) : token.start()] + text[token.end() : token.end() + _NEAR_CHARS]
    if not _LATIN_OR_DIGIT.search(token[0]) and not (token[0].isupper() and _LATIN_OR_DIGIT.search(near)):
        return token[0]
    return _LETTERS.sub(lambda word: word[0].translate(_LOOK_ALIKES) if _reads_latin(word[0]) else word[0], token[0])


def _reads_latin(word: str) -> bool:
    return all(letter.isascii() or letter in _LOOK_ALIKE_LETTERS for letter in word)


def _referred(reference: str) -> str:
    """What a character reference stands for, or the reference where it stands for none or more than one sign."""
    sign = html.unescape(reference)
    return sign if len(sign) == 1 and (sign.isprintable() or sign.isspace() or sign == "\u00ad") else reference


def _composed(view: View) -> View:
    if unicodedata.is_normalized("NFKC", view.text):
        return view
    pieces = [(unicodedata.normalize("NFKC", view.text[a:b]), a, b) for a, b in _clusters(view.text)]
    starts = [view.starts[a] for piece, a, _ in pieces for _ in piece]
    ends = [view.ends[b - 1] for piece, _, b in pieces for _ in piece]
    return View("".join(piece for piece, _, _ in pieces), starts, ends)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Each base character with the combining marks that follow it."""
    start = 0
    for at in range(1, len(text) + 1):
        if at == len(text) or not unicodedata.combining(text[at]):
            yield start, at
            start = at
