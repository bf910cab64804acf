"""Texts around identifiers, ways to dress these up, and numbers that are no identifiers. Imports nothing of the product.

A value is kept as pieces, each with whether a reader reads it: `("<b>", False), ("4111", True)`. What is read has to be
masked; what is not may be.
"""
# ruff: noqa: E501 - rows of tables

import random
from collections.abc import Callable
from dataclasses import dataclass

from tests.policies.redaction.identifier_values import KINDS, Draw, Kind, digits

Pieces = list[tuple[str, bool]]


@dataclass(frozen=True)
class Case:
    """A text; its letters and digits at `masked` have to be masked, those in `start` to `end` beside them may be."""

    kind: str
    text: str
    start: int = 0
    end: int = 0
    masked: tuple[int, ...] = ()


# Ways to dress up. Each takes a kind and a value and gives pieces, or None where it would make another value of it.

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u180e\u200e\u202a"
LOOK_ALIKE = str.maketrans("ABCEHIJKMOPSTXYaceijopsxy", "АВСЕНІЈКМОРЅТХУасеіјорѕху")
GREEK_ALIKE = str.maketrans("ABEHIKMNOPTXYZ", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖ")
MARKS = "\u0301\u0308\u0335\u0336\u0332\u0338\u20dd\u0323"
SPACES = "\u00a0\u2009\u202f\u2007\u2002\u3000"
FANCY = [
    [chr(0x1D7CE + at) for at in range(10)],
    [chr(0x1D7F6 + at) for at in range(10)],
    list("⓪①②③④⑤⑥⑦⑧⑨"),
    list("⁰¹²³⁴⁵⁶⁷⁸⁹"),
    list("₀₁₂₃₄₅₆₇₈₉"),
    list("⓿❶❷❸❹❺❻❼❽❾"),
]
SCRIPTS = [0x0660, 0x06F0, 0x0966, 0x09E6, 0x0E50, 0x17E0, 0xFF10]
Dress = Callable[[Draw, Kind, str], Pieces | None]


def plain(value: str) -> Pieces:
    return [(value, True)]


def _strewn(draw: Draw, value: str, pool: str, share: float) -> Pieces:
    pieces: Pieces = []
    sure = draw.randrange(max(1, len(value) - 1))
    for at, sign in enumerate(value):
        pieces.append((sign, True))
        if at < len(value) - 1 and (at == sure or draw.random() < share):
            pieces.append((draw.choice(pool), False))
    return pieces


def zero_width(draw: Draw, kind: Kind, value: str) -> Pieces:
    return _strewn(draw, value, INVISIBLE, draw.choice([0.1, 0.4]))


def soft_hyphen(draw: Draw, kind: Kind, value: str) -> Pieces:
    return _strewn(draw, value, "\u00ad", draw.choice([0.1, 0.4]))


def full_width(draw: Draw, kind: Kind, value: str) -> Pieces:
    whole = draw.random() < 0.7
    return plain(
        "".join(
            chr(ord(c) + 0xFEE0) if c.isascii() and c.isalnum() and (whole or draw.random() < 0.5) else c for c in value
        )
    )


def look_alike(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    table = draw.choice([LOOK_ALIKE, LOOK_ALIKE, GREEK_ALIKE])
    share = draw.choice([0.3, 1.0])
    changed = "".join(c.translate(table) if draw.random() < share else c for c in value)
    return plain(changed) if changed != value else None


def separators(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    if kind.name == "e-mail":
        name, _, domain = value.partition("@")
        return plain(draw.choice([
            f"{name} @ {domain}", f"{name}[at]{domain}", f"{name} (at) {domain.replace('.', ' (dot) ')}",
            f"{name} [at] {domain.replace('.', '[dot]')}", f"{name} at {domain.replace('.', ' dot ')}",
            f"{name} @ {domain.replace('.', ' . ')}",
        ]))  # fmt: skip
    if kind.sort not in ("number", "code") or kind.name == "licence plate" or "серия" in value or "№" in value:
        return None
    core = "".join(c for c in value if c.isalnum())
    lead = "+" if value.startswith("+") else ""
    divider = draw.choice([" ", ".", "-", "\u2013", " - ", "·", "_", "/"])
    sizes = draw.choice([[1], [2], [3], [4], [2, 3, 4]])
    pieces, at = [], 0
    while at < len(core):
        size = draw.choice(sizes)
        pieces.append(core[at : at + size])
        at += size
    return plain(lead + divider.join(pieces))


def odd_spaces(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    space = draw.choice(SPACES)
    if kind.sort == "secret" or kind.name in ("e-mail", "IPv4", "IPv6", "MAC"):
        return None
    if any(sign in value for sign in " -./"):
        return plain(
            "".join(space if sign == " " or (sign in "-./" and kind.sort == "number") else sign for sign in value)
        )
    if kind.sort == "address" or kind.name == "licence plate":
        return None
    size = draw.choice([2, 3, 4])
    return plain(space.join(value[at : at + size] for at in range(0, len(value), size)))


TAGS = [
    ("<b>", "</b>"), ("<strong>", "</strong>"), ('<span class="n">', "</span>"), ("<i>", "</i>"), ("<code>", "</code>"),
    ("**", "**"), ("`", "`"), ("<mark>", "</mark>"), ("<!-- x -->", ""), ("<wbr>", ""), ('<font color="red">', "</font>"),
]  # fmt: skip


def markup(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    if "\n" in value:
        return None
    opened, closed = draw.choice(TAGS)
    begin = draw.randrange(len(value) - 1)
    end = draw.randint(begin + 1, len(value))
    return [(value[:begin], True), (opened, False), (value[begin:end], True), (closed, False), (value[end:], True)]


def entities(draw: Draw, kind: Kind, value: str) -> Pieces:
    share = draw.choice([0.2, 0.6])
    sure = draw.randrange(len(value))
    if (
        kind.name == "private key"
    ):  # Its letters as references would make a page of them; its signs are often written so.
        return plain("".join(f"&#{ord(sign)};" if sign in "+/=" else sign for sign in value))

    def written(at: int, sign: str) -> str:
        if sign == " ":
            return draw.choice(["&nbsp;", "&#160;", "&thinsp;", " "])
        if not sign.isascii() or sign == "\n" or (at != sure and draw.random() > share):
            return sign
        named = {"@": "&commat;", ".": "&period;", "-": "&hyphen;", "+": "&plus;", ":": "&colon;", "_": "&lowbar;"}
        return draw.choice(
            [f"&#{ord(sign)};", f"&#x{ord(sign):x};", f"&#0{ord(sign)};", named.get(sign, f"&#X{ord(sign):X};")]
        )

    return plain("".join(written(at, sign) for at, sign in enumerate(value)))


def fancy_digits(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    table = draw.choice(FANCY)
    share = draw.choice([0.4, 1.0])
    changed = "".join(table[int(c)] if c in "0123456789" and draw.random() < share else c for c in value)
    return plain(changed) if changed != value else None


def other_scripts(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    zero = draw.choice(SCRIPTS)
    share = draw.choice([0.4, 1.0])
    changed = "".join(chr(zero + int(c)) if c in "0123456789" and draw.random() < share else c for c in value)
    return plain(changed) if changed != value else None


def combining(draw: Draw, kind: Kind, value: str) -> Pieces:
    return _strewn(draw, value, MARKS, draw.choice([0.1, 0.5]))


def line_break(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    """Where a line would be broken: at a divider, else, in numbers and codes, anywhere; in addresses after a sign."""
    if kind.name in ("IPv4", "IPv6", "MAC", "licence plate", "private key", "password", "login in a URL"):
        return None
    divided = [at for at, sign in enumerate(value) if sign in " -/." and 0 < at < len(value) - 1]
    if divided and kind.sort in ("number", "code", "address") and kind.name != "e-mail":
        at = draw.choice(divided)
        return plain(value[: at + (value[at] != " ")] + "\n" + value[at + 1 :])
    if kind.name == "e-mail":
        at = draw.choice(
            [at for at, sign in enumerate(value) if sign in "@._-+" and not (sign == "." and at < value.index("@"))]
        )
        return plain(value[: at + 1] + "\n" + value[at + 1 :])
    if kind.sort == "address":
        return None
    at = draw.randint(2, len(value) - 2)
    return plain(value[:at] + "\n" + value[at:])


def other_case(draw: Draw, kind: Kind, value: str) -> Pieces | None:
    if kind.sort == "secret":
        return None
    changed = draw.choice([value.upper(), value.lower(), value.swapcase(), value.title()])
    return plain(changed) if changed != value else None


OBFUSCATIONS: dict[str, Dress] = {
    "zero-width characters": zero_width,
    "soft hyphens": soft_hyphen,
    "full-width forms": full_width,
    "look-alike letters": look_alike,
    "inserted separators": separators,
    "odd spaces": odd_spaces,
    "markup inside": markup,
    "character references": entities,
    "fancy digits": fancy_digits,
    "other scripts' digits": other_scripts,
    "combining marks": combining,
    "line break within": line_break,
    "other case": other_case,
}

# Contexts.

NAMED = {
    "en": ["Please note my {l} {v} for the file.", "{l}: {v}", "Her {l} is {v}, as agreed.", "We have {v} as the {l}; is the {l} {v} right?", "The {l} on record ({v}) was checked.", "{l} = {v}"],
    "de": ["Meine {l} lautet {v}.", "{l}: {v}", "Bitte die {l} {v} eintragen.", "Die {l} ist {v}, wie besprochen."],
    "fr": ["Mon {l} est le {v}.", "{l} : {v}", "Veuillez noter le {l} {v} au dossier."],
    "es": ["Mi {l} es {v}.", "{l}: {v}", "El {l} {v} consta en el expediente."],
    "it": ["Il mio {l} è {v}.", "{l}: {v}", "Registrare {l} {v} nella pratica."],
    "nl": ["Mijn {l} is {v}.", "{l}: {v}", "Noteer {l} {v} in het dossier."],
    "pl": ["Mój {l} to {v}.", "{l}: {v}", "Proszę zapisać {l} {v} w aktach."],
    "ru": ["Мой {l}: {v}.", "{l} {v}", "Прошу указать {l} {v} в договоре.", "{l} клиента — {v}."],
}  # fmt: skip
STRUCTURED = [
    "| field | value |\n|---|---|\n| {l} | {v} |\n| state | open |",
    "| no | {l} | state |\n|---|---|---|\n| 17 | {v} | open |",
    "no;{l};state\n17;{v};open",
    "no,{l},state\n17,{v},open",
    '{{"{j}": "{v}", "state": "open"}}',
    '{{"no": 17, "{j}":"{v}"}}',
    "- **{l}**: {v}\n- state: open",
    "* {l} — `{v}`",
    "<tr><td>{l}</td><td>{v}</td></tr>",
    "{j}={v}",
    "> {l}: {v}",
    "## Details\n\n{l}:\n{v}\n",
]
BARE = [
    "We received {v} yesterday.", "It says {v} there.", "{v}", "| 17 | {v} | open |", "17;{v};open", '{{"v": "{v}"}}',
    "- {v}\n- none", "Bitte {v} prüfen.", "Voir {v} au dossier.", "Véase {v} en el expediente.", "Vedi {v} nella pratica.",
    "Zie {v} in het dossier.", "Zobacz {v} w aktach.", "Указано {v} в договоре.", "<p>{v}</p>", "`{v}`", "(see {v})",
    '"{v}",',
]  # fmt: skip


def _context(draw: Draw, kind: Kind, value: str, *, redivided: bool) -> str:
    """A template with `{v}` left in it."""
    if "\n" in value:
        return draw.choice(["{v}", "key:\n{v}\n", "```\n{v}\n```"])
    if kind.strong and not (kind.as_written and redivided) and draw.random() < 0.45:
        return draw.choice(BARE).replace("{{", "{").replace("}}", "}")
    language = draw.choice(list(kind.labels))
    label = draw.choice(kind.labels[language])
    template = draw.choice(NAMED[language]) if draw.random() < 0.5 else draw.choice(STRUCTURED)
    json_key = label.lower().strip(".").replace(" ", "_").replace("-", "_") if label.isascii() else label
    return template.replace("{l}", label).replace("{j}", json_key).replace("{{", "{").replace("}}", "}")


def case(draw: Draw, kind: Kind, dress: Dress | None = None) -> Case | None:
    """A text with a value of the kind, dressed up if that is possible."""
    value = kind.make(draw)
    pieces = dress(draw, kind, value) if dress else plain(value)
    if pieces is None:
        return None
    template = _context(draw, kind, value, redivided=dress in (separators, odd_spaces, line_break))
    if kind.name == "login in a URL":
        scheme = draw.choice(["https", "ftp", "postgres", "mysql", "amqp", "mongodb"])
        template = template.replace("{v}", scheme + "://{v}@db.example.com/x")
    if kind.name == "password" and template.startswith("- **"):
        template = template.replace("**", "")
    start = template.index("{v}")
    if template.startswith("|"):  # A row of a table cannot be broken otherwise.
        pieces = [piece for text, read in pieces for piece in _with_break_tags(text, read)]
    text, masked = template[:start], []
    for piece, read in pieces:
        masked += [len(text) + at for at, sign in enumerate(piece) if read and _counts(kind, sign)]
        text += piece
    end = len(text)
    rest = template[start + 3 :].replace("{v}", "given above")
    return Case(kind.name, text + rest, start, end, tuple(masked))


def _counts(kind: Kind, sign: str) -> bool:
    """Whether a sign has to be masked: letters and digits, but not the words inside a Russian passport's number."""
    return sign.isalnum() and not (kind.name == "RU passport" and sign.isalpha())


def _with_break_tags(text: str, read: bool) -> Pieces:  # noqa: FBT001 - the two parts of a piece
    before, line_end, after = text.partition("\n")
    return [(before, read), ("<br>", False), (after, read)] if line_end else [(text, read)]


def cases(seed: int, count: int, dress: Dress | None = None) -> list[Case]:
    """As many texts as asked for, the kinds in turn."""
    draw, found, at = random.Random(seed), list[Case](), 0
    while len(found) < count:
        if made := case(draw, KINDS[at % len(KINDS)], dress):
            found.append(made)
        at += 1
    return found


# What is not personal, though it looks a little like it.


def _not_luhn(draw: Draw) -> str:
    from_luhn = digits(draw, 15, "345")
    doubled = sum(sum(divmod(2 * int(d), 10)) if at % 2 == 0 else int(d) for at, d in enumerate(reversed(from_luhn)))
    number = from_luhn + str((-doubled + draw.randint(1, 9)) % 10)
    return draw.choice([number, " ".join(number[at : at + 4] for at in range(0, 16, 4))])


def _date(draw: Draw, year: int = 0) -> str:
    return f"{year or draw.randint(1995, 2026)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"


def _hex(draw: Draw, count: int) -> str:
    return "".join(draw.choices("0123456789abcdef", k=count))


def _isbn13(draw: Draw) -> str:
    body = "978" + digits(draw, 9)
    check = -sum(int(d) * (1, 3)[at % 2] for at, d in enumerate(body)) % 10
    return draw.choice([f"{body[:3]}-{body[3]}-{body[4:8]}-{body[8:]}-{check}", body + str(check)])


def _version(draw: Draw) -> str:
    return ".".join(str(draw.randint(0, 30)) for _ in range(draw.choice([2, 3, 3, 4])))


def _price(draw: Draw) -> str:
    return draw.choice([
        f"EUR {draw.randint(1, 999)},{digits(draw, 3)}.{digits(draw, 2)}", f"{draw.randint(1, 999)}.{digits(draw, 3)},{digits(draw, 2)} €",
        f"${draw.randint(1, 99)},{digits(draw, 3)},{digits(draw, 3)}", f"{draw.randint(1, 99)} {digits(draw, 3)} {digits(draw, 3)} zł",
        f"{draw.randint(1, 999)} {digits(draw, 3)},{digits(draw, 2)} руб.", f"£{draw.randint(1, 99999)}", f"{draw.randint(1, 999)} {digits(draw, 3)} kr",
    ])  # fmt: skip


NEAR_MISSES: dict[str, Callable[[Draw], str]] = {
    "order number": lambda draw: draw.choice(["Order {} was shipped.", "Bestellnummer {}", "order_no,{},open", "commande {}"]).format(_not_luhn(draw)),
    "dates side by side": lambda draw: draw.choice(["From {} {} on.", "| {} | {} |", "{} to {}", "valid {}/{}", "{},{}", "{}\n{}"]).format(_date(draw), _date(draw)),
    "version": lambda draw: draw.choice(["Upgrade to version {}.", "v{} is out", "package=={}", "release {} fixes it", "Requires Python {} or later"]).format(_version(draw)),
    "price": lambda draw: draw.choice(["It costs {} a year.", "| total | {} |", "Preis: {}", "{} per seat"]).format(_price(draw)),
    "pages": lambda draw: draw.choice(["pp. {0}-{1}", "pages {0}\u2013{1}", "S. {0}-{1}", "стр. {0}-{1}"]).format(a := draw.randint(1, 900), a + draw.randint(1, 99)),
    "time stamp": lambda draw: draw.choice([
        "at {d}T10:{m:02}:31Z", "epoch {e}", '{{"ts": {e}{m3}}}', "{d} 09:{m:02}:07,{m3} INFO started", "[{e}.{m3}] ready",
    ]).format(d=_date(draw), m=draw.randrange(60), e=draw.randint(1_500_000_000, 1_799_999_999), m3=digits(draw, 3)),
    "hash": lambda draw: draw.choice(["commit {h}", "Merge {s} into main", "sha256:{l}", "see {s}..{t}", "md5 {m}", "fixed in {h}."]).format(
        h=_hex(draw, 40), s=_hex(draw, 8), t=_hex(draw, 8), l=_hex(draw, 64), m=_hex(draw, 32)),
    "ISBN": lambda draw: f"ISBN {_isbn13(draw)}",
    "measures": lambda draw: f"{draw.choice(['The box is', 'Maße', 'taille'])} {draw.randint(1, 99)} x {draw.randint(1, 99)} x {draw.randint(1, 99)} mm, {draw.randint(1, 9999)} kg, {draw.randint(1, 99)}.{draw.randint(1, 99)} %",
    "years": lambda draw: draw.choice(["in {} and {}", "{}-{}", "{}/{}", "{}, {}, 2011", "FY{} to FY{}"]).format(draw.randint(1950, 2030), draw.randint(1950, 2030)),
    "UUID": lambda draw: f"id {_hex(draw, 8)}-{_hex(draw, 4)}-4{_hex(draw, 3)}-a{_hex(draw, 3)}-{_hex(draw, 12)}",
    "eleven digits": lambda draw: draw.choice(["Batch {} arrived.", "lot {}", "tracking {}", "| {} | sent |", "Auftrag {}"]).format("7" + digits(draw, 2) + "99" + digits(draw, 6)),
    "nine or ten digits": lambda draw: draw.choice(["Batch {} arrived.", "build {}", "| {} | sent |", "row {}", "count {}", "17,{},done"]).format(digits(draw, draw.choice([8, 9, 10]), "12345679")),
    "document number": lambda draw: draw.choice(["Invoice INV-{}-{}", "Rechnung {}/{}", "счёт-фактура № {}/{}", "ticket OPS-{}{}", "RFC {}, section {}"]).format(draw.randint(2001, 2026), digits(draw, 5)),
    "table of numbers": lambda draw: "| " + " | ".join(str(draw.randint(1, 99_999)) for _ in range(6)) + " |",
    "numbers in a row": lambda draw: " ".join(str(draw.randint(1, 9_999)) for _ in range(draw.randint(4, 9))),
    "column of numbers": lambda draw: "\n".join(str(draw.randint(100, 999_999)) for _ in range(6)),
    "network": lambda draw: draw.choice(["10.0.0.0/8", "listens on 127.0.0.1:8080", "netmask 255.255.255.0", "0.0.0.0/0 is open", "bind ::1"]),
    "handles": lambda draw: draw.choice(["git@github.com:a/b.git", "@app.route('/x')", "@scope/pkg@1.2.3", "see user@host", "docker pull a/b@sha256:" + _hex(draw, 64)]),
    "placeholder": lambda draw: draw.choice(["password: required", "token: <your token>", "api_key = os.environ['API_KEY']", "Passwort: siehe oben", "the secret is kept in the vault"]),
    "hours": lambda draw: f"open {draw.randint(6, 10)}:00-{draw.randint(15, 20)}:30, {draw.randint(1, 5)}-{draw.randint(0, 5)}",
    "failed IBAN": lambda draw: f"ref DE{digits(draw, 2)}0000{digits(draw, 12)}00X",
    "part number": lambda draw: draw.choice(["Part no. {}-{}-{}", "Art.-Nr. {}.{}.{}", "SKU {}-{}-{}"]).format(digits(draw, 4), digits(draw, 4), digits(draw, 2)),
    "large count": lambda draw: draw.choice(["{:,} rows", "{:_} bytes", "{} requests"]).format(draw.randint(10_000, 10**12)),
    "standard": lambda draw: draw.choice(["ISO 27001:2022", "ГОСТ 12.1.004-91", "EN 301 549", "DIN 5008", "IEC 60950-1:2005", "§ 12 Abs. 3", "Art. 6(1)(f)"]),
    "date of business": lambda draw: draw.choice(["signed on {}", "due {}", "geliefert am {}", "до {}", "le {}"]).format(draw.choice([_date(draw), f"{draw.randint(1, 28)}.{draw.randint(1, 12)}.{draw.randint(1999, 2026)}", f"{draw.randint(1, 28)} March {draw.randint(1999, 2026)}"])),
}  # fmt: skip


def near_misses(seed: int, count: int) -> list[Case]:
    draw = random.Random(seed)
    names = list(NEAR_MISSES)
    return [Case(name, NEAR_MISSES[name](draw)) for name in (names[at % len(names)] for at in range(count))]
