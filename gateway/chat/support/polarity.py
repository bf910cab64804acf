"""Whether a sentence and its source say yes and no to the same things.

Not meaning, but signs of it that can be compared one by one: what a negation governs, words that are each other's
opposites, obligations, and whether an amount is a least or a most. What one of both leaves out is no contradiction.
"""

from collections.abc import Iterator, Sequence
from difflib import Match, SequenceMatcher
from itertools import pairwise

from gateway.chat.support.amounts import Amount
from gateway.chat.support.opposites import LIMITS, MODALS, SIDES, plain_of
from gateway.chat.support.statements import Place, Statement, Word, fit

_NEGATIONS = frozenset(
    """not no never neither nor without cannot nobody nothing none unless except nowhere hardly barely
    nicht kein keine keinen keinem keiner keines nie niemals ohne weder noch pas jamais aucun aucune sans ni rien
    nunca sin ningún ninguna tampoco nadie не нет без никогда ни нельзя никто ничего""".split()  # noqa: SIM905 - a row of words
)
_COMPARED = frozenset(
    (
        "more",
        "less",
        "fewer",
        "later",
        "earlier",
        "longer",
        "shorter",
        "higher",
        "lower",
        "greater",
        "larger",
        "smaller",
    )
)
_NOT_JUST = frozenset(("only", "just", "merely", "necessarily", "exceed", "matter"))
_JOINING = frozenset({"and", "or", "und", "oder", "et", "ou", "y", "o", "и", "или"})
_AUXILIARIES = frozenset(("do", "does", "did", "is", "are", "was", "were", "has", "have", "will", "would"))
_GOVERNED = 4
"""So many words about something after a negation are taken to be what it denies."""
_ONLY = frozenset(
    {"only", "solely", "exclusively", "nur", "ausschließlich", "seulement", "uniquement", "solo", "solamente", "только"}
)
_AS_GOOD_AS_ONLY = _ONLY | {"just", "unless", "except", "but", "until", "alone", "limited", "restricted", "must"}
_SURE_PLACE = 0.6
"""From here on two places resemble each other enough for what stands there to be compared."""
_SOME_PLACE = 0.3
"""Less will do for an opposite where the sources do not have the word itself."""
_BETTER = 1.25
_LIMIT_REACH = 4
_SAME_STRETCH = 2
_FEW = 3


def contradicts(said: Statement, sources: Sequence[Statement], *, mirrored: bool = False) -> bool:
    """Whether a sentence denies what its sources affirm, or affirms what they deny."""
    return (
        _negated_otherwise(said, sources)
        or _one_word_changed(said, sources)
        or _opposite(said, sources, mirrored=mirrored)
        or _adds_only(said, sources)
        or _obliges_otherwise(said, sources)
        or _limits_otherwise(said, sources)
        or _compares_otherwise(said, sources)
    )


def negated(sentence: Statement) -> dict[int, tuple[int, ...]]:
    """For each negation, by its position, the positions of the words it governs, the nearest first."""
    words = sentence.words
    return {at: _governed(words, at) for at, word in enumerate(words) if word.text in _NEGATIONS and _denies(words, at)}


def _denies(words: Sequence[Word], at: int) -> bool:
    """Whether a negation denies what follows; not so in "no later than", "not only", "whether or not", "no, …"."""
    before, after = (words[at - 1].text if at else ""), [word.text for word in words[at + 1 : at + 3]]
    if (after[:1] and after[0] in _NOT_JUST) or after[:2] == ["to", "exceed"]:
        return False
    if after[1:] == ["than"] and after[0] in _COMPARED:
        return False
    opens = at == 0 and words[at].text == "no" and len(words) > 1 and words[1].clause != words[0].clause
    return not opens and not (before == "or" and words[at].text == "not")


def _governed(words: Sequence[Word], at: int) -> tuple[int, ...]:
    clause = words[at].clause
    after = [i for i in range(at + 1, len(words)) if words[i].clause == clause or i <= at + 2]
    following: list[int] = []
    for i in after:
        joined = words[i - 1].text in _JOINING and (words[i].text in MODALS or words[i].text in _AUXILIARIES)
        if i > at + 1 and (joined or words[i].text in _NEGATIONS | {"with"}):
            break
        if words[i].content or words[i].fact is not None:
            following.append(i)
    if following:
        return tuple(following[:_GOVERNED])
    before = [
        i
        for i in range(at - 1, -1, -1)
        if words[i].clause == clause and (words[i].content or words[i].fact is not None)
    ]
    return tuple(before[:_GOVERNED])


def _negated_otherwise(said: Statement, sources: Sequence[Statement]) -> bool:
    ours, theirs = _signs(said), [(source, *_signs(source)) for source in sources]
    cues, denied = ours
    for governed in cues.values():
        if not _denied_there(said, governed, theirs):
            return True
    return any(
        _affirmed_here(said, denied, source, governed, theirs)
        for source, their_cues, _ in theirs
        for governed in their_cues.values()
    )


def _signs(sentence: Statement) -> tuple[dict[int, tuple[int, ...]], frozenset[str]]:
    cues = negated(sentence)
    return cues, frozenset(sentence.words[at].stem for governed in cues.values() for at in governed)


def _one_word_changed(said: Statement, sources: Sequence[Statement]) -> bool:
    """Whether, in the midst of a sentence that is repeated, words that deny or set a condition came or went."""
    ours, denying = [word.text for word in said.words], negated(said)
    for source in sources:
        matcher = SequenceMatcher(None, ours, [word.text for word in source.words], autojunk=False)
        theirs = negated(source)
        for here, there in _between(matcher.get_matching_blocks()):
            short = len(here) <= _FEW and len(there) <= _FEW
            if short and sum(at in denying for at in here) % 2 != sum(at in theirs for at in there) % 2:
                return True
    return False


def _between(blocks: Sequence[Match]) -> Iterator[tuple[range, range]]:
    """What stands on both sides between two stretches that are the same and long enough to mean the same place."""
    for one, two in pairwise(blocks):
        if one.size >= _SAME_STRETCH <= two.size:
            yield range(one.a + one.size, two.a), range(one.b + one.size, two.b)


_Theirs = Sequence[tuple[Statement, dict[int, tuple[int, ...]], frozenset[str]]]


def _denied_there(said: Statement, governed: Sequence[int], theirs: _Theirs) -> bool:
    """Whether sources deny the nearest of the words that a negation governs here, or say its opposite."""
    there = {word.stem for source, _, _ in theirs for word in source.words}
    nearest = next((at for at in governed if said.words[at].stem in there), None)
    if nearest is not None:
        return any(said.words[nearest].stem in denied for _, _, denied in theirs)
    if any(_opposed(said.words[at], word) for at in governed for source, _, _ in theirs for word in source.words):
        return True
    # Words that the sources do not have were put otherwise; then any negation of theirs may be the one meant.
    return any(cues for _, cues, _ in theirs)


def _affirmed_here(
    said: Statement, denied: frozenset[str], source: Statement, governed: Sequence[int], theirs: _Theirs
) -> bool:
    """Whether the sentence affirms what a negation of a source governs, and no source affirms that elsewhere."""
    if not governed:
        return False
    stems = [source.words[at].stem for at in governed]
    here = {word.stem for word in said.words}
    if stems[0] not in here or denied.intersection(stems):
        return False
    if any(_opposed(source.words[governed[0]], word) for word in said.words):
        return False
    at = governed[0]
    ours = max(
        (fit(_around(said, i), _around(source, at)) for i, word in enumerate(said.words) if word.stem == stems[0]),
        default=0.0,
    )
    elsewhere = max(
        (
            fit(_around(said, i), _around(other, j))
            for i, word in enumerate(said.words)
            if word.stem == stems[0]
            for other, _, their_denied in theirs
            if stems[0] not in their_denied or other is not source
            for j, there in enumerate(other.words)
            if there.stem == stems[0] and stems[0] not in their_denied
        ),
        default=0.0,
    )
    return ours >= _SURE_PLACE and ours > elsewhere


def _around(sentence: Statement, at: int) -> Place:
    return sentence.place(at, at + 1)


def _opposed(one: Word, other: Word) -> bool:
    sides, others = SIDES.get(one.stem, {}), SIDES.get(other.stem, {})
    if any(axis in others and others[axis] != side for axis, side in sides.items()):
        return True
    return plain_of(one.text) == other.stem or plain_of(other.text) == one.stem


def _opposite(said: Statement, sources: Sequence[Statement], *, mirrored: bool) -> bool:
    """Whether a word stands where the sources have its opposite, and is denied as little or as much as that."""
    theirs = [(source, _denied(source)) for source in sources]
    denied = _denied(said)
    return any(
        _replaced(said, at, theirs, denied=at in denied, mirrored=mirrored)
        for at, word in enumerate(said.words)
        if word.fact is None or said.facts[word.fact].weak
    )


def _denied(sentence: Statement) -> set[int]:
    return {at for governed in negated(sentence).values() for at in governed}


def _replaced(
    said: Statement, at: int, theirs: Sequence[tuple[Statement, set[int]]], *, denied: bool, mirrored: bool
) -> bool:
    word, same, opposed, there = said.words[at], 0.0, 0.0, False
    for source, their_denied in theirs:
        for i, other in enumerate(source.words):
            is_same = other.stem == word.stem
            if not (is_same or _opposed(word, other)):
                continue
            there = there or is_same
            resemblance = fit(_around(said, at), _around(source, i), mirrored=mirrored)
            if is_same or denied != (i in their_denied):
                same = max(same, resemblance)
            else:
                opposed = max(opposed, resemblance)
    return opposed >= (_SURE_PLACE if there else _SOME_PLACE) and opposed > same * _BETTER


def _adds_only(said: Statement, sources: Sequence[Statement]) -> bool:
    if not any(word.text in _ONLY for word in said.words):
        return False
    return not any(word.text in _AS_GOOD_AS_ONLY for source in sources for word in source.words)


def _obliges_otherwise(said: Statement, sources: Sequence[Statement]) -> bool:
    """Whether must, should and may are exchanged before the same word."""
    theirs = [pair for source in sources for pair in _obligations(source)]
    for modal, verb in _obligations(said):
        stated = {other for other, of in theirs if of == verb}
        if stated and modal not in stated:
            return True
    return False


def _obligations(sentence: Statement) -> list[tuple[str, str]]:
    found = []
    for at, word in enumerate(sentence.words):
        if word.text in MODALS:
            verb = next((w.stem for w in sentence.words[at + 1 : at + 5] if w.content and w.clause == word.clause), "")
            if verb:
                found.append((MODALS[word.text], verb))
    return found


def _limits_otherwise(said: Statement, sources: Sequence[Statement]) -> bool:
    """Whether the same amount is a least here and a most there."""
    stated = [limit for source in sources for limit in _limits(source)]
    return any(
        amount.agrees(other) and limit != there
        for amount, limit in _limits(said)
        for other, there in stated
        if not any(amount.agrees(same) and limit == again for same, again in stated)
    )


def _compares_otherwise(said: Statement, sources: Sequence[Statement]) -> bool:
    """Whether "longer than" of one is "not longer than" of the other."""
    stated = {pair for source in sources for pair in _comparisons(source)}
    return any((than, not denied) in stated and (than, denied) not in stated for than, denied in _comparisons(said))


def _comparisons(sentence: Statement) -> list[tuple[str, bool]]:
    texts = [word.text for word in sentence.words]
    return [
        (texts[at], at > 0 and texts[at - 1] in ("no", "not"))
        for at in range(len(texts) - 1)
        if (texts[at] in _COMPARED and texts[at + 1] == "than") or texts[at] == "exceed"
    ]


def _limits(sentence: Statement) -> list[tuple[Amount, str]]:
    found = []
    for fact in sentence.facts:
        if isinstance(fact.value, Amount):
            before = " ".join(["", *sentence.text[: fact.start].lower().split()[-_LIMIT_REACH:], ""])
            after = " ".join(["", *sentence.text[fact.end :].lower().split()[:_LIMIT_REACH], ""])
            near = [
                (before.rfind(f" {phrase} ") + len(phrase), len(phrase), side)
                for phrase, side in LIMITS.items()
                if f" {phrase} " in before
            ]
            near += [
                (0, len(phrase), side)
                for phrase, side in LIMITS.items()
                if phrase.startswith("or ") and f" {phrase} " in after
            ]
            if near:
                found.append((fact.value, max(near)[2]))
    return found
