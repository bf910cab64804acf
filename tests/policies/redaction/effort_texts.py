"""Texts that show what looking for personal data costs: prose of many kinds, and texts made to be slow.

Each is a function of a length in characters; words, names and numbers are drawn anew along the way, so that little is
read twice. `benchmarks/bench_redaction.py` measures the same texts.
"""

import random
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TypeAlias

_UNBROKEN = 280
"""Signs without a blank that are still read; the engine hides 300 of them unread."""
Text: TypeAlias = Callable[[int], str]

GIVEN = "Ada Alan Maria Grace Owen Nadia Tariq Ingrid Katherine Pedro Yuki Fatima Lars Chloe Mateusz Priya".split()
PARTS = "bel dor kin mar lo ves tan ri gor sha nek lin war pol de ma stro ber gun thal".split()
NOUNS = "plan report budget team review contract office meeting server invoice customer policy release quarter".split()
VERBS = "approves delays reads rewrites signs sends opens closes explains checks replaces measures".split()
OTHERS = "quickly again before lunch in the second quarter for the whole team because of the audit at once".split()
RU_GIVEN = "Иван Мария Сергей Ольга Тимур Айгуль Дмитрий Елена Руслан Наталья Пётр Вера".split()
RU_MIDDLE = "Ивановна Сергеевич Петрович Ильич Викторовна Рустамович Павловна Андреевна".split()
RU_PARTS = "бел дор куз мар ло вес тан ри гор ша нек лин вар пол ме стро бер гун".split()
RU_NOUNS = "договор отчёт отпуск бюджет отдел проект склад приказ счёт квартал заявление график".split()
RU_VERBS = "согласует отклоняет подписывает читает передаёт проверяет закрывает переносит считает".split()
RU_OTHERS = "до конца недели в отделе кадров после проверки на складе за второй квартал без изменений снова".split()


class Draw(random.Random):
    """What texts are made of."""

    def family(self) -> str:
        return "".join(self.choices(PARTS, k=self.randint(2, 3))).capitalize()

    def name(self) -> str:
        return f"{self.choice(GIVEN)} {self.family()}"

    def ru_name(self) -> str:
        family = "".join(self.choices(RU_PARTS, k=2)).capitalize() + self.choice(["ов", "ин", "ский", "енко"])
        given = self.choice(RU_GIVEN)
        return self.choice(
            [f"{given} {family}", f"{family} {given[0]}. {given[1].upper()}.", f"{given} {self.middle()}"]
        )

    def middle(self) -> str:
        return self.choice(RU_MIDDLE)

    def digits(self, count: int) -> str:
        return "".join(self.choices("0123456789", k=count))

    def date(self) -> str:
        return f"20{self.randint(10, 29)}-{self.randint(1, 12):02d}-{self.randint(1, 28):02d}"


def english(draw: Draw) -> str:
    others = " ".join(draw.choices(OTHERS, k=9))
    return f"The {draw.choice(NOUNS)} {draw.choice(VERBS)} the {draw.choice(NOUNS)} {others}. "


def english_names(draw: Draw) -> str:
    return f"{draw.name()} told {draw.name()} that the {draw.choice(NOUNS)} is late, and Mr. {draw.family()} agreed. "


def russian(draw: Draw) -> str:
    first, second = draw.choices(RU_NOUNS, k=2)
    return f"{first.capitalize()} {draw.choice(RU_VERBS)} {second} {' '.join(draw.choices(RU_OTHERS, k=9))}. "


def russian_names(draw: Draw) -> str:
    first, second = draw.ru_name(), draw.ru_name()
    return f"{first} {draw.choice(RU_VERBS)} {draw.choice(RU_NOUNS)} № {draw.digits(5)}, а {second} против. "


def german(draw: Draw) -> str:
    subject = draw.choice(NOUNS).capitalize()
    return (
        f"Herr {draw.family()} bittet die Abteilung {subject}, den Vertrag über 1.{draw.digits(3)} Euro "
        f"bis zum {draw.randint(1, 28)}. Mai zu prüfen; Frau {draw.family()} übernimmt die Rückfragen. "
    )


def french(draw: Draw) -> str:
    return (
        f"Madame {draw.family()} a relu l'accord signé à Besançon le {draw.randint(1, 28)} février, où l'équipe « "
        f"{draw.choice(NOUNS)} » était présente, mais n'a pas encore répondu à {draw.name()}. "
    )


def table(draw: Draw) -> str:
    return f"| {draw.name()} | {draw.choice(NOUNS)} | {draw.date()} | {draw.randint(1, 10**6):,} |\n"


def csv(draw: Draw) -> str:
    return f"{draw.digits(6)},{draw.name()},{draw.date()},{draw.random():.4f},0{draw.digits(10)},{draw.choice(NOUNS)}\n"


def numbers(draw: Draw) -> str:
    return " ".join(draw.digits(draw.randint(1, 12)) for _ in range(8)) + "\n"


def telephones(draw: Draw) -> str:
    return f"0{draw.digits(3)} {draw.digits(3)} {draw.digits(4)}\n"


def letters(draw: Draw) -> str:
    mail = f"{draw.family().lower()}@example.org"
    return (
        f"{draw.name()}\n{draw.randint(1, 999)} {draw.family()} Street, Springfield, IL {draw.digits(5)}\n"
        f"Tel. +44 161 {draw.digits(3)} {draw.digits(4)}, {mail}\n\nDear {draw.choice(GIVEN)},\n\n{english(draw)}\n\n"
    )


def log(draw: Draw) -> str:
    address = f"10.{draw.randint(0, 255)}.{draw.randint(0, 255)}.7"
    return (
        f"{draw.date()}T{draw.randint(0, 23):02d}:17:07.{draw.digits(3)}Z INFO [worker-{draw.randint(1, 9)}] "
        f"request {draw.getrandbits(64):016x} from {address} took {draw.randint(1, 900)} ms\n"
    )


def json(draw: Draw) -> str:
    return (
        f'  {{"id": {draw.digits(7)}, "owner": "{draw.name()}", '
        f'"tags": ["{draw.choice(NOUNS)}", "{draw.choice(NOUNS)}"], '
        f'"at": "{draw.date()}", "share": {draw.random():.3f}}},\n'
    )


def html(draw: Draw) -> str:
    return (
        f'<tr class="row"><td><a href="/people/{draw.digits(4)}">{draw.name()}</a></td>'
        f"<td>{draw.choice(NOUNS)}&nbsp;&amp; <b>{draw.choice(NOUNS)}</b></td></tr>\n"
    )


def _code(lines: str) -> Callable[[Draw], str]:
    """Source in which identifiers and numbers are drawn: `@` stands for a word, `#` for a number."""

    def piece(draw: Draw) -> str:
        written = "".join(draw.choice(NOUNS) if sign == "@" else sign for sign in lines)
        return "".join(draw.digits(2) if sign == "#" else sign for sign in written)

    return piece


PYTHON = _code(
    '''def load_@(path: Path, limit: int = #) -> list[@]:
    """The @ of each @, oldest first."""
    rows = [parse_@(line) for line in path.read_text().splitlines() if line]
    if len(rows) > limit:
        raise @Error(f"{path}: more than {limit} rows")
    return sorted(rows)[:#]


'''
)
JAVASCRIPT = _code(
    """export async function fetch@({ id, page = # }) {
  const response = await get(`/api/v2/@/${id}?page=${page}`);
  if (!response.ok) throw new Error(`@ ${id}: ${response.status}`);
  return response.json(); // @
}

"""
)
JAVA = _code(
    """public final class @Service extends Abstract@Service<@, Long> {
    private static final int MAX_@ = #;
    @Override public Optional<@> findBy@(final String @) {
        return repository.findAll().stream().filter(x -> x.get@().equals(@)).findFirst();
    }
}

"""
)
C = _code(
    """static int @_read(struct @ *self, const uint8_t *buf, size_t len)
{
\tif (len < # || buf[0] != 0x#)
\t\treturn -EINVAL;
\tmemcpy(self->@, buf + #, len - #);
\treturn @_init(&self->@, #);
}

"""
)
SQL = _code(
    """SELECT @.id, @.name, COUNT(*) AS total FROM @ JOIN @ ON @.id = @.@_id
WHERE @.created_at > '2025-06-#' AND @.amount BETWEEN # AND ##
GROUP BY 1, 2 HAVING COUNT(*) > # ORDER BY total DESC;

"""
)
SHELL = _code(
    """for f in /var/lib/@/*.log; do
  grep -E '^@ [0-9]+' "$f" | awk '{print $2 + #}' >> "${TMPDIR:-/tmp}/@.txt" || exit #
done
chmod 06# ./@ && ./@ --@=# --no-@

"""
)


def _cut(pieces: Iterator[str], chars: int) -> str:
    made, count = [], 0
    while count < chars:
        made.append(next(pieces))
        count += len(made[-1])
    return "".join(made)[:chars]


def _of(*kinds: Callable[[Draw], str]) -> Text:
    def text(chars: int) -> str:
        draw = Draw(11)
        return _cut((kind(draw) for kind in cycle(kinds)), chars)

    return text


PROSE: dict[str, Text] = {
    "English": _of(english),
    "English, full of names": _of(english_names),
    "Russian": _of(russian),
    "Russian, full of names": _of(russian_names),
    "Russian, small letters": lambda chars: _of(russian_names)(chars).lower(),
    "English and Russian": _of(english, russian, english_names, russian_names),
    "German": _of(german),
    "French": _of(french),
    "table": _of(table),
    "CSV": _of(csv),
    "rows of numbers": _of(numbers),
    "list of telephones": _of(telephones),
    "letters": _of(letters),
    "log": _of(log),
    "JSON": _of(json),
    "HTML": _of(html),
    "Python": _of(PYTHON),
    "JavaScript": _of(JAVASCRIPT),
    "Java": _of(JAVA),
    "C": _of(C),
    "SQL": _of(SQL),
    "shell": _of(SHELL),
}
"""What people write and programs print: never refused."""


def _again(piece: str) -> Text:
    """A piece again and again, with a blank now and then: what is longer than any word would be hidden unread."""
    together = piece * max(1, _UNBROKEN // len(piece))
    together += "" if " " in piece else " "
    return lambda chars: (together * (chars // len(together) + 1))[:chars]


def _one(sign: str) -> Text:
    return lambda chars: sign * chars


def _strewn(pieces: str, longest: int = 6) -> Text:
    def text(chars: int) -> str:
        draw = random.Random(12)
        return _cut(("".join(draw.choices(pieces, k=draw.randint(1, longest))) + " " for _ in iter(int, 1)), chars)

    return text


def _any_signs(chars: int) -> str:
    draw = random.Random(13)
    codes = (draw.choice((0x20, draw.randrange(0x20, 0x3000), draw.randrange(0x20, 0xD800))) for _ in range(chars))
    return "".join(map(chr, codes))


SIGNS = "a 1 . @ < ( [ & - \u4e00 \u200b \u0301 \u0430 \u27e6".split()
AGAIN = (
    "a.|a@|@ |a @ |a at b dot |<a |<a <b |<td>1</td>|](|[](|((|**_|&#49;|&amp;|1 |1-|12 |123 456 |0 1.|+1 (|A |Ab |A."
    "|A. B. |Xx1 St |12 Main St, |DE12 |GB82 WEST 1|card 4111 |born 1.1.|pass: |eyJa.|-----BEGIN PRIVATE KEY-----|x://a1|://a:b@"
    "|АБ. |пётр |Иван-|г-н Пак |a\u0430|\u0430a1 |1\u200b|4\u0301|a\u0301\u0302\u0303|\uff11\u0661|⟦PERSON_1⟧|⟦a|e.g. "
    "|i.|…!?|1:2:|fe80::|1.2.3.|a-|a_|a/|\\|A1|Aa1|О'А|1,|1;1|\t1|x=1&"
).split("|")
HOSTILE: dict[str, Text] = {
    **{f"one sign, {sign!r}": _one(sign) for sign in [*SIGNS, "\n", " "]},
    **{f"again {piece!r}": _again(piece) for piece in AGAIN},
    "nested markup": lambda chars: ("<b><i>" * chars)[: chars // 2] + ("</i></b>" * chars)[: chars - chars // 2],
    "nested brackets": lambda chars: "([{" * (chars // 6) + "}])" * (chars // 6),
    "scripts in turn": _strewn("aа1α٣հ"),
    "letters and digits": _strewn("aA1b2-._/", 18),
    "digits and signs": _strewn("0123456789-./+()", 12),
    "capitals": _strewn("ABCDEFGHAbcdeabcde'"),
    "signs of Unicode": _any_signs,
}
"""What is made to be slow: read in time, or refused."""
