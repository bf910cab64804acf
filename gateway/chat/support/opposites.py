"""Words that say the opposite of each other, and words of obligation. Data; `polarity.py` reads it."""

from functools import lru_cache

from retrieval.terms import terms

_PAIRS = """
allow allowed permit permitted authorise authorize authorised / prohibit prohibited forbid forbidden ban banned
accept acceptance approve approval grant / reject rejection refuse refusal decline deny denial
include included includes including inclusive / exclude excluded excludes excluding exclusive
required mandatory compulsory obligatory / optional voluntary
increase increased increases grow grew raise raised rise rose / decrease decreased reduce reduced decline fell drop
more greater larger bigger / less fewer smaller
most / least
higher / lower
highest / lowest
largest biggest greatest / smallest
longer / shorter
faster quicker / slower
before prior earlier / after following later
minimum min / maximum max
above / below beneath
begin begins began begun start starts started / end ends ended finish finished stop stopped cease ceased
first / last
always / never
all every each both everyone most many / some none neither nobody few no
internal internally / external externally
public publicly / private privately
enable enabled enables / disable disabled disables
success successful succeed succeeded / failure failed fail unsuccessful
win won victory / lose lost defeat
buy bought purchase / sell sold sale
add added / remove removed delete deleted
early / late
high / low
large big / small
long / short
strong / weak
positive / negative
active / inactive
join joined / leave left
north northern / south southern
east eastern / west western
major majority / minor minority
old older / new newer
open opened / close closed
true / false
possible / impossible
able / unable
legal lawful / illegal unlawful
same / different
easy easier / hard harder difficult
good better best / bad worse worst
upper / lower
inside / outside
with / without
often frequently usually / rarely seldom
employer / employee
buyer / seller
hire hired / fire fired dismiss dismissed
encourage encouraged / discourage discouraged
agree agreed / disagree disagreed
paid / unpaid
safe / unsafe
senior / junior
increasing / decreasing
inbound incoming / outbound outgoing
advantage / disadvantage
erlaubt gestattet / verboten untersagt
mehr / weniger
mindestens / höchstens
vor / nach
immer / nie niemals
autorisé permis / interdit
plus / moins
avant / après
toujours / jamais
permitido / prohibido
más / menos
antes / después
siempre / nunca
можно разрешено / нельзя запрещено
больше более / меньше менее
до / после
всегда / никогда
"""
_MODALS = {
    "must": "must", "shall": "must", "should": "should", "ought": "should",
    "may": "may", "can": "may", "could": "may", "might": "may",
    "muss": "must", "müssen": "must", "soll": "should", "sollte": "should", "sollten": "should", "darf": "may",
    "dürfen": "may", "kann": "may", "können": "may", "doit": "must", "doivent": "must", "peut": "may",
    "peuvent": "may", "debe": "must", "deben": "must", "puede": "may", "pueden": "may",
    "должен": "must", "должны": "must", "может": "may", "могут": "may",
}  # fmt: skip
# "More than" and "over" are not among them: what is over a limit and what keeps to it are said of the same amount.
_LEAST = (
    "at least|minimum of|a minimum|minimum|no less than|no fewer than|not less than|no earlier than|no smaller than"
    "|no lower than|no shorter than|or more|mindestens|au moins|al menos|не менее"
)
_MOST = (
    "at most|maximum of|a maximum|maximum|up to|no more than|not more than|no longer than|no later than|no larger than"
    "|no greater than|no higher than|no bigger than|no wider than|not exceed|not to exceed|or less|or fewer|höchstens"
    "|au plus|como máximo|не более"
)
LIMITS: dict[str, str] = dict.fromkeys(_LEAST.split("|"), "least") | dict.fromkeys(_MOST.split("|"), "most")
MODALS = _MODALS


def _sides() -> dict[str, dict[str, int]]:
    """For each stem the oppositions it takes part in, and its side in each."""
    found: dict[str, dict[str, int]] = {}
    for line in _PAIRS.strip().splitlines():
        for side, words in enumerate(line.split(" / ")):
            for word in words.split():
                stem = (terms(word) or [word])[0]
                found.setdefault(stem, {})[line] = side
    return found


SIDES = _sides()
_NEGATIVE_BEGINNINGS = ("un", "in", "non", "dis", "im", "ir", "il")


@lru_cache(maxsize=1 << 14)
def plain_of(word: str) -> str | None:
    """The stem that a word with a negative beginning may be the opposite of, as "eligible" of "ineligible"."""
    for beginning in _NEGATIVE_BEGINNINGS:
        rest = word.removeprefix(beginning).lstrip("-")
        if rest != word and len(rest) > 3:  # noqa: PLR2004 - "under", "into" are whole words
            return (terms(rest) or [rest])[0]
    return None
