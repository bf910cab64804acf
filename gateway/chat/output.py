"""What may leave in an answer's text, whatever the model was talked into: words, and no way to fetch anything.

Deterministic, and applied after personal data has been dealt with. Links, images and HTML are never made by the model:
citations carry the links, and they come from the documents themselves. What looks like markup is taken out where it can
be told; the last steps then leave no sign sequence that any markup begins with, so a form that nobody thought of ends
as words, too.
"""

import html
import re
from collections.abc import Collection

import regex

from gateway.chat.addresses import REMOVED_LINK, with_names_as_code, without_addresses

__all__ = ["REMOVED_LINK", "clean"]

_PASSES = 5
"""Taking one thing out may put another together. What still does after so many times is hostile; the last steps
break it."""
_MOST_CHARACTERS = 15_000
"""250 words, the longest answer there usually is, of 60 characters."""
# Sequences that a terminal obeys: hyperlinks and titles, colours and positions, and all others.
_TERMINAL = re.compile(
    r"\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
)
_LINE_END = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# Controls, what has no width, changes direction, tags letters or selects variants: all can carry what nobody sees.
_UNSEEN = regex.compile(
    r"[\p{Cc}\p{Cf}\p{Cs}\p{Co}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff--[\n\t]]",
    regex.VERSION1,
)
# Markdown knows references with a semicolon, browsers those of numbers without one, too.
_REFERENCE = re.compile(
    r"&(?:amp;|#0*38;|#x0*26;)*(?:#\d{1,7};?|#x[0-9a-f]{1,6};?|[a-z][a-z0-9]{1,31};)", re.IGNORECASE
)
_AMPERSANDS = re.compile(r"&(?:amp;|#0*38;|#x0*26;)+", re.IGNORECASE)
_ELEMENTS = (
    "a|abbr|acronym|address|animate|applet|area|article|aside|audio|b|base|basefont|bdi|bdo|bgsound|big|blink|blockquote"
    "|body|br|button|canvas|caption|center|circle|cite|code|col|colgroup|command|data|datalist|dd|del|details|dfn|dialog"
    "|dir|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|foreignobject|form|frame|frameset|g|h[1-6]|head"
    "|header|hr|html|i|iframe|image|img|input|ins|isindex|kbd|keygen|label|layer|legend|li|link|listing|main|map|mark"
    "|marquee|math|menu|menuitem|meta|meter|multicol|nav|nobr|noembed|noframes|noscript|object|ol|optgroup|option|output"
    "|p|param|passage|path|picture|plaintext|portal|pre|progress|q|rect|rp|rt|ruby|s|samp|script|section|select|set|slot"
    "|small|source|spacer|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|text|textarea|tfoot|th"
    "|thead|time|title|tr|track|tt|u|ul|use|var|video|wbr|xml|xmp|xss"
)
_TAG = re.compile(
    rf"<!--.{{0,500}}?-->|<[!?][^<>]*>|</?(?:{_ELEMENTS})(?:[\s/][^<>]*)?>|</?[a-z][^<>]*[=:/][^<>]*>",
    re.IGNORECASE | re.DOTALL,
)
_LINK = re.compile(r"!?\[([^\[\]]{0,1000})\]\([^()\n]{0,2000}(?:\([^()\n]{0,200}\)[^()\n]{0,2000}){0,3}\)?")
_WIKI = re.compile(r"!?\[\[(?:[^\[\]|\n]{1,200}\|)?([^\[\]|\n]{1,200})\]\]")
_DEFINITION = re.compile(r"^[^\w\[\]\n]{0,40}(?:\d{1,9}[.)][^\w\[\]\n]{0,40})?\[[^\[\]\n]{1,200}\]:.*$", re.MULTILINE)
# Names and values in braces become attributes of what stands before them.
_BRACES = re.compile(r"\{[^}\n]*+\}?")
_ATTRIBUTES = re.compile(r"=|\bon\w|^\{ *[:.#]", re.IGNORECASE)
_COMMANDS = re.compile(
    r"\\(?=\s{0,3}(?:(?:href|url|includegraphics|html(?:class|data|id|style))\b|(?:action|class|cssid|hyperref|import|include"
    r"|includesvg|input|nolinkurl|path|require|special|style|usepackage|write)\s{0,3}\*?[{\[]))",
    re.IGNORECASE,
)
# What one line may hold of code: a run of one grave accent on either side, and nothing that another rule could cut at.
_CODE = re.compile(r"(?<![`\\])`[^`\n|\\]+`(?!`)")
_FENCE = re.compile(r"^([ \t>*+-]*(?:`{3,}|~{3,}))[ \t]*([^\n]*)$", re.MULTILINE)
_GRAVES = re.compile(
    r"(?P<code>(?<![`\\])`[^`\n|\\]+`(?!`))|(?P<fence>^[ \t>*+-]*`{3,}(?=[^`\n]*$))|\\?`+", re.MULTILINE
)
_PLAIN_LANGUAGES = frozenset({
    "bash", "c", "cpp", "csharp", "css", "csv", "diff", "go", "ini", "java", "json", "kotlin", "log", "php",
    "powershell", "python", "ruby", "rust", "sh", "sql", "text", "toml", "ts", "txt", "typescript", "xml", "yaml",
})  # fmt: skip
"""What a block of code may say it is; clients draw others (diagrams, pages, applications) instead of showing them."""
_ROUND = str.maketrans("{}", "()")
_BROKEN = (
    (re.compile(r"<(?=[^\s\d=<>.,-]|[^\s<>]{1,300}@)"), "< "),  # Elements, comments, addresses, mentions.
    (re.compile(r"\](?=[(:])"), "] "),  # Targets of links and definitions of references.
    (re.compile(r"\[(?=\[[^\d\s\"'\[-])"), "[ "),  # Wiki links and embedded pages.
    (re.compile(r"\{(?=[{%#])"), "{ "),  # Templates.
    (re.compile(r"\|(?=\.)"), "| "),  # Host names with a sign that would end code in a table.
    (re.compile(r"^([ \t>*+-]*)(?:\.\.[ \t]+(?=[\w-]+::)|:{3,})", re.MULTILINE), r"\1"),  # Directives.
)


def clean(text: str, marks: Collection[str] = (), most_characters: int = _MOST_CHARACTERS) -> str:
    """The answer in words.

    Taken out are HTML, images, links, addresses that something could be fetched from, definitions of references,
    invisible characters, what a terminal obeys, and `marks`: secrets of the prompt that no answer needs. Names that a
    client would make a link of are set as code. Longer texts are cut.
    """
    text = _cut(_seen(text), most_characters)
    for _ in range(_PASSES):
        taken = _without_marks(_without_markup(_dereferenced(text)), marks)
        if taken == text:
            break
        text = taken
    text = _FENCE.sub(_plain_fence, text)
    # An address may have taken one of two accents with it; a space stays for the other, lest what was around it join.
    text = _GRAVES.sub(lambda found: _plain_grave(found) or " ", without_addresses(text))
    text = _BRACES.sub(_plain_braces, text)
    for broken, by in _BROKEN:
        text = broken.sub(by, text)
    return _outside_code(text).strip()


def _seen(text: str) -> str:
    seen: str = _UNSEEN.sub("", _LINE_END.sub("\n", _TERMINAL.sub("", text)))
    return seen


def _cut(text: str, most: int) -> str:
    """The text, or as many whole words of it as fit, or as many characters if the first word is longer."""
    if len(text) <= most:
        return text
    return (text[:most].rpartition(" ")[0] or text[:most]) + " …"


def _dereferenced(text: str) -> str:
    """The text with references to characters resolved; what many others are wrapped in is resolved at once."""
    for _ in range(_PASSES):
        resolved = _UNSEEN.sub("", _REFERENCE.sub(_character, _AMPERSANDS.sub("&", text)))
        if resolved == text:
            return text
        text = resolved
    return text.replace("&", " ")


def _character(reference: re.Match[str]) -> str:
    return html.unescape(_AMPERSANDS.sub("&", reference[0]))


def _without_markup(text: str) -> str:
    text = _DEFINITION.sub("", _TAG.sub("", _GRAVES.sub(_plain_grave, text)))
    text = _LINK.sub(r"\1", _WIKI.sub(r"\1", text))
    return _COMMANDS.sub("", text)


def _without_marks(text: str, marks: Collection[str]) -> str:
    """A mark goes with whatever was put between its letters; a space stays, lest what was around it join."""
    for mark in marks:
        if mark:
            text = re.sub(r"[\W_]{0,3}".join(map(re.escape, mark)), " ", text, flags=re.IGNORECASE)
    return text


def _plain_braces(found: re.Match[str]) -> str:
    """Round brackets instead of braces that a renderer would read attributes in; names and JSON stay."""
    return found[0].translate(_ROUND) if _ATTRIBUTES.search(found[0]) else found[0]


def _plain_fence(fence: re.Match[str]) -> str:
    return fence[0] if fence[2].strip().lower() in _PLAIN_LANGUAGES else fence[1]


def _plain_grave(found: re.Match[str]) -> str:
    """Code on one line and fences stay; accents that programs could pair in different ways go."""
    return found[0] if found["code"] or found["fence"] else ""


def _outside_code(text: str) -> str:
    pieces, done = [], 0
    for code in _CODE.finditer(text):
        pieces += [with_names_as_code(text[done : code.start()]), code[0]]
        done = code.end()
    return "".join([*pieces, with_names_as_code(text[done:])])
