"""Recognise what is no personal data by policy: companies, places, dates, ages, nationalities, titles, links.

Asked only by who wants these listed (`muniment redact --jsonl`) or masked (`redaction.also`). Nothing here takes
anything from what is personal data (`spans.py`), so that being generous costs no more than a longer list.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence

from policies.personal_data import MentionType, SiteType, Span
from policies.redaction.candidates import Entity
from policies.redaction.lexicon import LISTS, Kind, Lexicon, fold
from policies.redaction.rules import Rule, apply
from policies.redaction.words import Word

ENTITY_KINDS = frozenset({MentionType.LOCATION, MentionType.NRP, MentionType.ORGANIZATION})
"""Those for which the entity recogniser is asked."""

_LABELS = {
    "FAC": MentionType.LOCATION,
    "GPE": MentionType.LOCATION,
    "LANGUAGE": MentionType.NRP,
    "LOC": MentionType.LOCATION,
    "NORP": MentionType.NRP,
    "ORG": MentionType.ORGANIZATION,
    # Whom `names.py` does not take for a person is mostly a company with a family name.
    "PERSON": MentionType.ORGANIZATION,
}
_OFTEN_WRONG = frozenset({"NORP", "PERSON"})
"""Labels that the small model gives to capitalised words of all kinds; to a single one it gives any."""
_AGE = r"(?P<value>\d|[1-9]\d|1[01]\d)"
_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\b\.?"
)
_DAY = r"(?:Mon|Tues?|Wed(?:nes)?|Thu(?:rs)?|Fri|Satur|Sun)day"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:\s?[ap]\.?m\b\.?)?"
_CAPITALISED = r"(?!(?:The|An?|I|In|At|On|My|Our|His|Her|Their|We|And|Of)\b)[^\W\da-z_][\w'\u2019&-]*"
_CAPITALS = rf"{_CAPITALISED}(?:(?:,?\s(?:&|and|of|the|de|van|von)\s|,?\s){_CAPITALISED}){{0,4}}"
_LEGAL_FORMS = (
    r"(?:Inc|Incorporated|Ltd|Limited|LLC|LLP|PLC|plc|GmbH|AG|KG|SE|SA|S\.A|SARL|S\.A\.R\.L|SpA|S\.p\.A|Srl|S\.r\.l"
    r"|BV|B\.V|NV|Oy|AB|AS|ApS|Corp|Corporation|Company|Co|Group|Holdings?|s\.r\.o|a\.s|d\.o\.o|s\.c|o\.o|e\.V|A\.Ş"
    r"|Kft|Zrt|UAB|SIA|OÜ|Pty|Pvt|Partners|Associates|Foundation|University"
    r"|College|Institute|Bank|Trust|Sons|Brothers|Bros|Ventures|Solutions|Technologies|Systems|Labs|Laboratories"
    r"|Industries|Enterprises|Consulting|Orchestra|Society|Association|Agency|Ministry|Council|Press|Airlines|Hospital)"
)
# Endings of domains that are rarely those of files or of words without a blank between sentences.
_ENDINGS = (
    r"(?:com|org|net|info|biz|edu|gov|eu|io|ai|app|dev|co\.\w\w|com\.\w\w|org\.\w\w|ac\.uk"
    r"|de|fr|it|es|nl|uk|ch|at|se|dk|pl|cz|jp|cn|ru)"
)
_ROLE = re.compile(
    r"(?:ers?|ors?|ists?|ians?|ants?|clerk|nurse|soldier|chef|cook|surgeon|pilot|guide|agent|president|resident|analyst"
    r"|architect|head|chief|lead|secretary|attendant|representative|executive|operative|technician|assistant|judge"
    r"|professor|fireman|foreman|midwife|actress|waitress|hostess)$",
    re.IGNORECASE,
)
# What stands in sentences, and in no occupation.
_IN_SENTENCES = re.compile(
    r"an?|the|this|that|i|i['\u2019]\w+|we|you|he|she|it|they|me|my|our|your|his|her|is|are|was|were|be|do|did|have"
    r"|has|from|by|under|not|\w+['\u2019](?:re|ll|ve|d|t)",
    re.IGNORECASE,
)
_LINE = re.compile(r"[^\n]+")
_LONGEST_TITLE_WORDS = 8
_LOOK_BACK_CHARS = 20
_PLACE_BEFORE = re.compile(
    r"\b(?:in|from|near|at|around|visit(?:ed|ing)?|outside|place of birth|(?:city|town"
    r"|country)[\"']?)\s?[:;=]?\s*[\"']?(?:the\s)?$",
    re.IGNORECASE,
)


def _rule(name: str, kind: MentionType, pattern: str, flags: int = 0, accepts: Callable[[str], bool] = bool) -> Rule:
    return Rule(name, SiteType(kind.value), re.compile(pattern, flags), 0.6, accepts)


def _is_role(words: str) -> bool:
    """Whether some words are an occupation, by the last of them."""
    last = words.rsplit(maxsplit=1)[-1]
    return fold(last) in LISTS["occupations"] or (last != words and bool(_ROLE.search(last)))


RULES = (
    _rule(
        "age", MentionType.AGE, rf"\b{_AGE}(?:\s|-)?(?:years?|yrs?|y)(?:[\s-]|/|\.)?(?:old|o\b|of age)", re.IGNORECASE
    ),
    _rule(
        "age, named",
        MentionType.AGE,
        r"\b(?:aged?|ages|age of|(?:just\s)?turn(?:s|ed|ing)?|(?:he|she|they|I|who)\s(?:was|were|am|is|are))[\s:]{1,2}"
        rf"{_AGE}"
        r"\b(?![.,:/]\d|\s?(?:%|percent|minutes|hours|days|weeks|months|people|of\b|in\b|th\b))",
        re.IGNORECASE,
    ),
    _rule("age, between commas", MentionType.AGE, rf"[^\W\d_]{{2}},\s{_AGE},\s(?=[a-z])"),
    _rule("age, claimed", MentionType.AGE, rf"(?i:\bI['\u2019]m)\s{_AGE}\b(?=[.,;!]|\s(?:and|now|but)\b|$)"),
    _rule(
        "age, decade",
        MentionType.AGE,
        r"\b(?:his|her|their|my)\s(?:early\s|mid-?\s?|late\s)?(?P<value>\d0)s\b",
        re.IGNORECASE,
    ),
    _rule(
        "date",
        MentionType.DATE_TIME,
        rf"\b(?:\d{{1,2}}(?:st|nd|rd|th|\.)?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}}\b)?|{_MONTH}\s\d{{1,2}}(?:st|nd|rd"
        rf"|th)?\b(?:,?\s\d{{4}}\b)?"
        rf"|{_MONTH},?\s\d{{4}}\b|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}\b"
        rf"|\d{{4}}[./-]\d{{1,2}}[./-]\d{{1,2}}(?!\d))(?:(?:T|,?\s(?:at\s)?){_CLOCK})?",
    ),
    _rule("year", MentionType.DATE_TIME, r"(?<![\w.,:/$€£#-])(?:1[89]|20)\d\d(?!\w|[.,:/-]\d|\s?%)"),
    _rule("weekday", MentionType.DATE_TIME, rf"\b{_DAY}s?\b", re.IGNORECASE),
    _rule(
        "time of day",
        MentionType.DATE_TIME,
        rf"(?<![\w.:-])(?:{_CLOCK}|\d{{1,2}}\s?[ap]\.?m\b\.?)(?![\w:])",
        re.IGNORECASE,
    ),
    _rule(
        "month",
        MentionType.DATE_TIME,
        r"\b(?:January|February|April|June|July|August|September|October|November|December)\b",
    ),
    _rule(
        "form of address",
        MentionType.TITLE,
        r"\b(?:Mr|Mrs|Ms|Mx|Dr|Prof|Rev|Hon)\b\.?(?=\s[^\W\d_])|\b(?:Miss|Sir|Madam|Professor|Doctor|Dame|Lord"
        r"|Lady)(?=\s[A-ZÀ-Þ])",
        re.IGNORECASE,
    ),
    _rule(
        "occupation, beside a name",
        MentionType.TITLE,
        r"[^\W\d_]{2}(?:,\s|\s[\u2013-]\s|:\s)(?P<value>[A-Z][a-z'/-]+(?:\s[a-z'/-]+){0,5}?)(?=\s(?:at|of|for)\s"
        r"|\s[\u2013-]\s|[,.;)\n]|$)",
        accepts=_is_role,
    ),
    _rule(
        "occupation, after a name",
        MentionType.TITLE,
        r"[^\W\d_],\s(?:the|an?|our|their)\s(?P<value>(?:[A-Za-z][\w-]+\s){0,3}(?i:\w+(?:er|or|ist|ian|ant|clerk|nurse"
        r"|soldier)))(?=,)",
    ),
    _rule("organisation, by its form", MentionType.ORGANIZATION, rf"{_CAPITALS},?\s(?:&\sCo|{_LEGAL_FORMS})\b\.?"),
    _rule(
        "organisation, small letters",
        MentionType.ORGANIZATION,
        r"(?:(?!(?:is|from|for|at|the|a|an|of|with|by|to|in|work|works)\b)[\w'\u2019&-]+,?\s){1,3}(?:inc|ltd|llc|gmbh"
        r"|plc|corp|corporation)\b\.?",
    ),
    _rule(
        "organisation, worked for",
        MentionType.ORGANIZATION,
        rf"(?i:\b(?:work(?:s|ed|ing)?|jobs?|employed|intern(?:s|ed)?)\s(?:for|at|with)|\b(?:employer|company"
        rf"|organi[sz]ation|firm)(?:\sis|:)?"
        rf"|\b(?:ceo|cfo|cto|director|chairman|founder|head|owner|president) of)\s(?P<value>{_CAPITALS})",
    ),
    _rule(
        "organisation, a kind of one",
        MentionType.ORGANIZATION,
        rf"(?P<value>{_CAPITALS})(?=\sis\san?\s(?:\w+\s){{0,3}}(?:company|agency|firm|start-?up|bank|charity|supplier"
        rf"|business|studio)\b|\s(?:office|headquarters|employees|shareholders)\b)",
    ),
    _rule(
        "organisation, a list of names",
        MentionType.ORGANIZATION,
        rf"{_CAPITALISED},\s{_CAPITALISED},?\s(?:and|&)\s{_CAPITALISED}",
    ),
    _rule("web address", MentionType.URL, r"(?i:\bhttps?://|\bwww\.)[^\s<>\"'()\[\]]{1,300}[^\s<>\"'()\[\].,;:!?]"),
    _rule(
        "domain",
        MentionType.URL,
        rf"(?<![\w@./-])(?i:[a-z0-9](?:[a-z0-9-]{{0,62}}[a-z0-9])?(?:\.[a-z0-9-]{{1,63}}){{0,3}}\.{_ENDINGS})\b(?![\w@-]|\.\w)(?:/[^\s<>\"'()\[\]]{{0,200}}[^\s<>\"'()\[\].,;:!?])?",
    ),
)
"""Rules for a segment as a reader sees it."""


def by_rules(text: str, before: str, lexicon: Lexicon, wanted: Collection[MentionType]) -> Iterator[Span]:
    """What rules find in a segment after `before`; offsets are those of the segment."""
    begin = len(before)
    kinds = {str(kind) for kind in wanted}
    chosen = [rule for rule in RULES if str(rule.type) in kinds]
    for span in apply(chosen, before + text, begin):
        yield Span(span.start - begin, span.end - begin, span.type, span.score, span.recogniser)
    if MentionType.TITLE in wanted:
        yield from _title_lines(text, lexicon)
    for kind, listed in ((MentionType.LOCATION, "countries"), (MentionType.NRP, "nationalities")):
        if kind in wanted:
            yield from _listed(text, kind, listed)


def by_entities(
    text: str, words: Sequence[Word], entities: Sequence[Entity], wanted: Collection[MentionType]
) -> Iterator[Span]:
    """What the entity recogniser says of the prose of a segment, and capitalised words where places stand."""
    for entity in entities:
        kind = _LABELS.get(entity.label)
        of = [word for word in words if entity.covers(word.start, word.end)]
        ordinary = all(word.kind is Kind.WORD for word in of)
        if kind in wanted and not (ordinary and (entity.label in _OFTEN_WRONG or len(of) == 1)):
            start, end = _trimmed(text, entity.start, entity.end)
            if start < end:
                yield Span(start, end, SiteType(str(kind)), 0.5, "entity recogniser")
    if MentionType.LOCATION in wanted:
        yield from _places(text, words)


def _title_lines(text: str, lexicon: Lexicon) -> Iterator[Span]:
    """Lines that are an occupation and nothing else, as under the name in a signature."""
    for match in _LINE.finditer(text):
        line = match[0].strip(" \t,?>|*-")
        if _is_occupation(line, line.replace(",", " ").split(), lexicon):
            start = match.start() + match[0].index(line)
            yield Span(start, start + len(line), SiteType(MentionType.TITLE.value), 0.5, "occupation")


def _is_occupation(line: str, words: Sequence[str], lexicon: Lexicon) -> bool:
    if not 0 < len(words) <= _LONGEST_TITLE_WORDS or any(map(str.isdigit, line)) or line[-1] in ".:;!?":
        return False
    last = words[-1]
    if len(words) == 1:
        return fold(last) in LISTS["occupations"]
    sentence = any(_IN_SENTENCES.fullmatch(word) for word in words)
    return not sentence and bool(_ROLE.search(last)) and lexicon.kind(last) is Kind.WORD


def _listed(text: str, kind: MentionType, listed: str) -> Iterator[Span]:
    for match in _LISTED[listed].finditer(text):
        yield Span(match.start(), match.end(), SiteType(kind.value), 0.7, listed)


def _places(text: str, words: Sequence[Word]) -> Iterator[Span]:
    """Runs of capitalised words after a word that a place follows."""
    at = 0
    while at < len(words):
        end = at
        while (
            end < len(words)
            and words[end].capital
            and (end == at or text[words[end - 1].end : words[end].start] == " ")
        ):
            end += 1
        if end > at and _PLACE_BEFORE.search(text[max(0, words[at].start - _LOOK_BACK_CHARS) : words[at].start]):
            yield Span(words[at].start, words[end - 1].end, SiteType(MentionType.LOCATION.value), 0.4, "place")
        at = max(end, at + 1)


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """An entity without an article, a possessive ending and blanks."""
    while start < end and not text[start].isalnum():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if text[start:end].lower().startswith("the "):
        start += len("the ")
    if text[start:end].endswith(("'s", "\u2019s")):
        end -= len("'s")
    return start, end


def _pattern(words: Collection[str]) -> re.Pattern[str]:
    phrases = sorted((word.replace("_", r"\s") for word in words), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE)


_LISTED = {"countries": _pattern(LISTS["countries"]), "nationalities": _pattern(LISTS["nationalities"])}
