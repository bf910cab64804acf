"""What a program makes a link of by itself: web addresses, names of hosts, mail addresses, however they are dressed up.

An address that something could be fetched from is removed. A bare name (`ASP.NET`, `README.md`, `ada@harbour.example`)
is a word that people need; it is set as code, which no renderer makes a link of.
"""

import re
import unicodedata
from functools import cache

import regex
import tldextract

REMOVED_LINK = "[link removed]"
# Signs that people take for one of ASCII, and some programs too; NFKC knows the full-width ones.
_SIGNS = str.maketrans({
    **dict.fromkeys("\u2044\u2215\u29f8\u2571\u27cb\u3033", "/"),
    **dict.fromkeys("\u2236\ua789\u02d0\ua4fd\u0589", ":"),
    **dict.fromkeys("\u3002\uff61\u2024\u06d4", "."), **dict.fromkeys("\u29f5\u2216\u29f9", "\\"),
})  # fmt: skip
_ESCAPED = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_WORD = re.compile(r"[^\s<>\"')\]]+")
# Whatever has two slashes after a colon or at its beginning, a name of the web, or one of the schemes that a program
# acts on without slashes. It may stand anywhere in a word: `Source:https://...` and `see:javascript:...` are links too.
_FETCHES = re.compile(
    r"://|(?:^|[^\w])//\w|(?:^|[^\w\\])\\\\\w|(?:^|[^\w])www\.\w|(?:^_*|[^\w.]_*)(?:https?|ftp|file|data|java-?script|vbscript"
    r"|livescript|mailto|tel|sms|wss?|xmpp|callto|facetime|blob|ms-[a-z-]{1,40}|x-[a-z-]{1,40}|intent|about|view-source|urn|magnet"
    r"|ssh|git|ldaps?|smb|nfs|sips?|webcal|vscode):\S",
    re.IGNORECASE,
)
# A label of a host name may hold every letter, digit, mark and symbol there is, emoji too; punctuation is none.
_SIGN = r"[^\p{P}\p{Z}\p{C}\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]"
_LABEL = rf"(?>{_SIGN}(?:(?:{_SIGN}|[-_]){{0,61}}{_SIGN})?)"
_DOT = r"\\?\."
# Some linkers take these for parts of a label where they stand before a dot.
_NAME = rf"(?:(?:{_LABEL}[=+$^~]{{0,8}}|[=+$^~]{{1,8}}){_DOT})+(?P<last>{_LABEL})"
_HOST = regex.compile(
    rf"(?<!{_SIGN}|{_SIGN}[-_]){_NAME}(?P<port>:\d{{1,5}}(?!\d))?(?P<path>[/?])?(?P<query>[^\s=]{{0,80}}=)?"
)
_BARE = regex.compile(
    rf"(?P<mail>[\w.,:;+%&=$-]{{1,64}}\\?@(?:[\w.=+$\\-]*\w))"
    rf"|(?<!{_SIGN}|{_SIGN}[-_]|[\w.-]/){_NAME}(?::\d{{1,5}}(?!\d))?"
)
_RUN = re.compile(r"[^\s`<>()\[\]|]+")
_NETWORK = re.compile(r"/\d{1,2}(?![\w/.?])")
_BYTES = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_INTERNAL = frozenset(["corp", "example", "home", "internal", "invalid", "lan", "local", "localhost", "onion", "test"])
"""Last labels that the public does not resolve, and a company or a browser may."""


def without_addresses(text: str) -> str:
    """The text with each word that something could be fetched from replaced by `REMOVED_LINK`."""
    return _WORD.sub(lambda match: REMOVED_LINK if fetches(match[0]) else match[0], text)


def fetches(word: str) -> bool:
    """Whether a client could make a link of this word that goes somewhere, as it is or once it is rendered."""
    if word.isalnum():
        return False
    bare = _ESCAPED.sub("", unicodedata.normalize("NFKC", word).translate(_SIGNS))
    return any(_FETCHES.search(seen) or _has_path(seen) for seen in {word, bare})


def with_names_as_code(text: str) -> str:
    """The text, which holds no code, with each host name and mail address in it set as code."""
    return _RUN.sub(lambda run: _with_names_as_code(run[0]), text)


def _with_names_as_code(run: str) -> str:
    if "\\" not in run:
        named: str = _BARE.sub(lambda name: f"`{name[0]}`" if _is_name(name) else name[0], run)
        return named
    # As a whole: a backslash before the accent that begins code would undo it.
    return f"`{run}`" if any(map(_is_name, _BARE.finditer(run))) else run


def _is_name(found: regex.Match[str]) -> bool:
    return bool(found["mail"]) or _is_known(found["last"])


def _has_path(word: str) -> bool:
    """Whether a host name with a path or a query stands in a word; `10.0.0.0/8` and `a/b/c.md` are none."""
    for found in _HOST.finditer(word):
        if found["path"] and (found["query"] or _is_known(found["last"]) or found["last"].lower() in _INTERNAL):
            return True
        at = found.end("last")
        if found["path"] and _BYTES.fullmatch(word, found.start(), at) and not _NETWORK.match(word, at):
            return True
    return False


def _is_known(last: str) -> bool:
    """Whether a label ends names of the public network."""
    return last.casefold() in _top_level() or last.casefold().startswith("xn--")


@cache
def _top_level() -> frozenset[str]:
    """The last labels of the public suffix list that comes with the library; nothing is fetched for it."""
    suffixes = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None).tlds
    return frozenset(suffix.rpartition(".")[2] for suffix in suffixes)
