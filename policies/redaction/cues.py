"""What stands before or after a name and says that a person is meant.

A cue is `SURE` where hardly anything but a name follows, `PERHAPS` where a product could follow too; `names.py` asks
more of the words then.
"""

import re
from enum import Enum
from functools import lru_cache

from policies.redaction.lexicon import LISTS

LOOK_BACK_CHARS = 60
"""No cue is longer."""


class Strength(Enum):
    """How much a cue says."""

    SURE = "whatever follows is a name"
    PERHAPS = "a name follows unless the words are a product's"
    LIKELY = "a name follows if the words are capitalised inside a sentence, or are no ordinary words"
    CLEAR = "a name follows if the words are capitalised and none is also an ordinary word"


TITLE = re.compile(
    r"\b(?:m[rsx]|mrs|dr|prof)\.\s+$"
    r"|\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Sir|Dame|Lord|Lady|Herr|Frau|Mme|Madame|Monsieur|Mlle|Señora?|Sra?"
    r"|Signora?|Pan[ií]|Rev|Capt|Captain|Sgt|Sergeant|Lt|Judge|Senator|President)\.?\s+$"
)
_RELATIVES = (
    r"wife|husband|partner|son|daughter|child|kid|baby|brother|sister|mother|father|mom|mum|dad|aunt|uncle|cousin"
    r"|nephew"
    r"|niece|friend|colleague|boss|manager|assistant|doctor|neighbou?r|fianc[ée]e?|girlfriend|boyfriend|roommate"
    r"|flatmate|grandmother|grandfather|grandson|granddaughter|landlord|tenant|guardian|widow(?:er)?"
)
_NAMED = re.compile(
    r"\b(?:(?:sur|maiden |first |last |given |family |middle )?name (?:is|was)|call(?:s|ed)? (?:me|him|her)"
    r"|(?:surname|(?:maiden|first|last|given|family|middle) name|forename)s?:?"
    r"|(?:brother|sister|son|daughter|man|woman|boy|girl|baby|plumber|lawyer) (?:is )?(?:named|called))"
    r"\s+[\"'\u201c]?$",
    re.IGNORECASE,
)
_PERHAPS_NAMED = re.compile(
    r"(?:(?:\b|_)names?[\"']?\s?[:=]|\bname on \w+ \w+ is|\bnamed(?: (?:him|her|it|them))?|\bknown as|\b(?:under"
    r"|in) the name(?: of)?"
    r"|\bsigned as|\bgoes by)\s*[\"'\u201c]?$",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(
    r"(?:\bI am|\bI[\u2019']m|\bthis is|\b(?:Dear|Hi|Hello|Hey|Hallo|Greetings),?|\b(?:regards|sincerely|cheers|thanks"
    r"|yours|wishes|truly)[,;]?"
    rf"|\b(?:my|his|her|their|your|our) (?:\w+ )?(?:ex-?)?(?:{_RELATIVES})s?(?: is|,)?"
    r"|\b(?:signed(?: by)?,?|c/o|attn:?|contact(?: person)?:|from:|to:|cc:|author:|owner:|manager:|assignee:|reviewer:"
    r"|reported by:?))\s+$",
    re.IGNORECASE,
)
_DEALT_WITH = re.compile(
    r"(?:\b(?:ask|asked|tell|told|phone|phoned|greet|invite|invited|thank|thanked|marry|married|remind|congratulate"
    r"|met(?: with)?|(?:spoke|speak|spoken|talk|talked) (?:with|to)|(?:heard|hear|letter|message|call|help"
    r"|thanks) from|call(?:ed)? from"
    r"|reports? to|interviewed by|directed by|written by|signed by|painted by|sung by|played by|designed by|drawn by"
    r"|found by"
    r"|(?:photos?|words|music|text|lyrics|story) by|born to|survived by|married to|engaged to|(?:many )?thanks to"
    r"|regards to"
    r"|on behalf of|heirs of|estate of|(?:late|a certain)|why (?:is|was|did|does|has)|who is|who[\u2019']s|is this"
    r"|was it"
    r"|congratulations to|no problem,|sorry,|thank you,?|thanks,?|said|cried|whispered))\s+$",
    re.IGNORECASE,
)
_ROLE = re.compile(
    rf"\b(?:{'|'.join(sorted(LISTS['occupations'] | LISTS['roles'], key=len, reverse=True))}):?\s+$", re.IGNORECASE
)
_DOES = re.compile(
    r"\s+(?:lives?|lived|resides?|was born|was hired|got married|is married|passed away|is \d+ years old|has (?:left"
    r"|resigned|retired|died)"
    r"|(?:was|were|is) (?:fired|promoted|arrested|injured|sentenced|sick|ill|pregnant|retiring)|retired|resigned|died"
    r"|phoned|smiled"
    r"|laughed|cried|replied|thinks?|speaking\b|and (?:his|her) \w+|just (?:left|called|arrived|turned)|who (?:is|was"
    r"|has|had) \w+"
    r"|never (?:\w+ed|came|went)|took (?:the minutes|over)|has a (?:son|daughter|wife|husband|cold))\b"
    rf"|[\u2019']s (?:{_RELATIVES}|birthday|salary|e-?mail|phone|address|laptop|desk|file|claim|refund|contract"
    rf"|appointment|letter|visa|passport|cv|diagnosis|parents|flat|parcel"
    r"|signature|kids|shift|absence|funeral|house|car|death)\b"
)
_SPOKEN_TO = re.compile(
    r",\s(?:can|could|will|would|please|are|do|did|have|I|you|we|let|what|why|how|when|where|thanks|thank|sorry)\b"
)
_BEFORE = (
    (_NAMED, Strength.SURE, "introduced by name"),
    (_PERHAPS_NAMED, Strength.PERHAPS, "perhaps introduced by name"),
    (_ADDRESSED, Strength.LIKELY, "addressed"),
    (_DEALT_WITH, Strength.LIKELY, "dealt with"),
    (_ROLE, Strength.CLEAR, "role"),
)
_LETTERS = re.compile(r"[^\W\d_]+")
_SPELT_OTHERWISE = {"fiance", "fiancee", "fiancé", "fiancée", "neighbor", "neighbour"}


def _last_words() -> frozenset[str]:
    """Every word that a cue before a name can end with, and others: all that the patterns are written with."""
    written = {word.casefold() for pattern, _, _ in _BEFORE for word in _LETTERS.findall(pattern.pattern)}
    return frozenset(word + ending for word in written | _SPELT_OTHERWISE for ending in ("", "s"))


_LAST_WORDS = _last_words()
_EXCLAIMED = re.compile(r"[!?]")
_AFTER_COMMA = re.compile(r"[a-z],\s$")
_START = re.compile(r"(?:\A|[.!?:\"\u201c]\s|\n)[\s>*-]*\"?\Z")
PLACE_OR_COMPANY = re.compile(
    r"(?:\b(?:in|at|near|around|outside|for|the|an?|(?:city|town|village|university|bank|republic|kingdom|lake"
    r"|river) of|city|town|visit(?:ed|ing)?|work(?:s|ed|ing)? (?:at|for|with))|[a-z]-)\s*$",
    re.IGNORECASE,
)
"""What hardly stands before people who are not introduced otherwise."""
COMPANY_AFTER = re.compile(
    r",?\s(?:&|Inc|Ltd|Limited|LLC|LLP|PLC|GmbH|AG|KG|SE|SA|S\.A|SARL|SpA|S\.p\.A|Srl|BV|B\.V|NV|Oy|AB|AS|ApS|Corp"
    r"|Corporation|Company|Co|Group"
    r"|Holdings?|Partners|Associates|Foundation|University|Institute|Bank|[Pp]latform|[Aa]pp|API|[Pp]lugin|[Ss]oftware"
    r"|[Tt]ool)\b"
)


# A name is judged several times, with what the entity recogniser says and without.
@lru_cache(maxsize=1024)
def cue(before: str, text: str, end: int) -> tuple[Strength, str] | None:
    """What `before`, which ends where a name may begin, or what follows `text[:end]` says; the first that fits."""
    words = _LETTERS.findall(before)
    for pattern, strength, evidence in _BEFORE if words and words[-1].casefold() in _LAST_WORDS else ():
        if pattern.search(before):
            return strength, evidence
    spoken_to = _START.search(before) and _SPOKEN_TO.match(text, end)
    if spoken_to or _DOES.match(text, end):
        return Strength.CLEAR, "does what people do"
    if _AFTER_COMMA.search(before) and _EXCLAIMED.match(text, end):
        return Strength.CLEAR, "addressed"
    return None
