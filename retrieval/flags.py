"""What is odd about a passage, seen from the passage alone: text that readers do not see, orders to a model, forgeries.

Pure, and linear in the length of the text. A flag says what to look at, not that somebody means harm; what becomes of
flagged passages is a setting (`docs/redaction.md`), and who sees the flags is the gateway's concern.
"""

import re
from collections.abc import Iterable
from enum import StrEnum

from policies.redaction.languages import unsupported
from policies.redaction.normalise import seen
from policies.redaction.placeholders import PLACEHOLDER
from policies.redaction.segments import segments
from retrieval.instructions import gives_orders

RULES = "1"
"""Raise it when another passage is flagged than before: the next sync then reads all documents anew."""


class Flag(StrEnum):
    """Why a passage stands out, in alphabetical order."""

    HIDDEN = "hidden"
    """Beside it the document holds text that its readers do not see; it was left out but in scans."""
    INSTRUCTIONS = "instructions"
    """It gives orders to a language model."""
    INVISIBLE = "invisible"
    """Invisible characters stand where no writing needs them, and may spell something."""
    LANGUAGE = "language"
    """Most of it is in a language in which names of people are not looked for."""
    SMUGGLED = "smuggled"
    """It spells control tokens, placeholders, the marks around passages, or turns of a conversation with a model."""


QUARANTINED = (Flag.INSTRUCTIONS, Flag.INVISIBLE)
"""What is not found unless settings say otherwise; `docs/decisions/0015-hidden-instructions.md` says why these."""

_JOINERS = "\u200c\u200d"
_ZERO_WIDTH = "\u200b\u2060-\u2064\u034f\u115f\u1160\u3164\uffa0\u180e\u17b4\u17b5\ufff9-\ufffb\U0001d173-\U0001d17a"
_INVISIBLE_RUN = re.compile(f"[{_ZERO_WIDTH}{_JOINERS}]{{4}}")
"""Writing needs one at a time, emoji and keyboards give two."""
_ALPHABETIC = "A-Za-z0-9\u00c0-\u024f\u0370-\u052f"
_WITHIN_WORDS = re.compile(f"(?<=[{_ALPHABETIC}])[{_ZERO_WIDTH}{_JOINERS}]{{1,3}}(?=[{_ALPHABETIC}])")
"""In Latin, Greek and Cyrillic letters no word needs one; a page may break a long name with a few."""
_MOST_WITHIN_WORDS = 4
_TAGS = re.compile("[\U000e0000-\U000e007f]+")
_FLAG_TAGS = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f")
"""A black flag and the name of its region: England, Scotland, Wales and the like."""
_SELECTOR_RUN = re.compile(
    "[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}|(?<![\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
"""A variation selector follows a sign, one each; those of the supplement belong to ideographs."""
_OVERRIDES = re.compile("[\u202d\u202e]")
_EMBEDDINGS = re.compile("[\u202a\u202b\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_MOST_EMBEDDINGS = 8
"""Left around paths and telephone numbers by programs they were copied from."""

_CONTROL = re.compile(
    r"< ?\| ?[\w▁/][\w▁ /-]{1,38}[\w▁] ?\| ?>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"
    r"|<(?:unused|extra_id_)\d{1,3}>"
    r"|\[/?(?:AVAILABLE_TOOLS|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<\|?(?:begin|end)[ ▁_]of[ ▁_](?:sentence|text)\|?>"
)
_MARK = re.compile(r"</?\s{0,3}passage\s{1,3}\d{1,4}(?:\s{1,3}[0-9a-f]{1,16})?\s{0,3}>", re.IGNORECASE)
"""As `gateway/chat/prompt.py` writes them."""
_ROLE_LINE = re.compile(
    r"^[ \t>*#\[(<-]{0,6}(system|developer|assistant|user|human|система|ассистент|пользователь)"
    r"[\])>*]{0,3} ?:[ \t]*(.{0,60})",
    re.IGNORECASE | re.MULTILINE,
)
_RULERS = frozenset({"developer", "system", "система"})
_SPEAKERS = frozenset({"assistant", "human", "user", "ассистент", "пользователь"})
_ORDER = re.compile(
    r"\b(?:you (?:are|must|will|should)|ignore|disregard|always|never|answer|reply|respond|from now on"
    r"|ты|вы|отвечай|игнорируй|всегда|никогда)\b",
    re.IGNORECASE,
)


def passage_flags(text: str, heading: str = "", title: str = "", *, beside_hidden: bool = False) -> frozenset[Flag]:
    """What is odd about a passage under its heading and title; `beside_hidden`: its document hid text there."""
    whole = f"{title}\n{heading}\n{text}"
    found = {
        Flag.HIDDEN: beside_hidden,
        Flag.INSTRUCTIONS: gives_orders(text) or gives_orders(f"{title}. {heading}."),
        Flag.INVISIBLE: holds_invisible(whole),
        Flag.LANGUAGE: is_foreign(text),
        Flag.SMUGGLED: holds_smuggled(whole),
    }
    return frozenset(flag for flag, is_so in found.items() if is_so)


def holds_invisible(text: str) -> bool:
    """Are there invisible characters that no writing needs?"""
    if text.isascii():
        return False
    if _INVISIBLE_RUN.search(text) or _SELECTOR_RUN.search(text) or _OVERRIDES.search(text):
        return True
    if _TAGS.search(text) and _TAGS.search(_FLAG_TAGS.sub("", text)):
        return True
    if sum(1 for _ in _WITHIN_WORDS.finditer(text)) > _MOST_WITHIN_WORDS:
        return True
    return len(_EMBEDDINGS.findall(text)) > _MOST_EMBEDDINGS and not _RIGHT_TO_LEFT.search(text)


def holds_smuggled(text: str) -> bool:
    """Does it spell what only a program may say to a model?"""
    plain = seen(text).text
    if _CONTROL.search(plain) or _MARK.search(plain) or PLACEHOLDER.search(text):
        return True
    lines = [(match[1].casefold(), match[2]) for match in _ROLE_LINE.finditer(plain)]
    roles = {role for role, _ in lines}
    if roles & _RULERS and roles & _SPEAKERS:
        return True
    return any(role in _RULERS and _ORDER.search(said) for role, said in lines)


def is_foreign(text: str) -> bool:
    """Is most of it in a language in which names of people are not looked for?"""
    cut = [text[start:end] for start, end in segments(text)]
    letters = [sum(map(str.isalpha, segment)) for segment in cut]
    foreign = sum(count for segment, count in zip(cut, letters, strict=True) if unsupported(segment))
    return 2 * foreign > sum(letters)


def write_flags(flags: Iterable[Flag]) -> str:
    """Flags as they are stored: their names in order, a blank between them."""
    return " ".join(sorted(flags))


def read_flags(stored: str) -> frozenset[Flag]:
    """The flags that `write_flags` wrote; those of another version are passed over."""
    return frozenset(flag for flag in Flag if flag in stored.split())
