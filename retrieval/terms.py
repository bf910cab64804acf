"""Text to search terms: the one tokeniser of the keyword index, used on passages and on questions alike."""

import re
import threading
import unicodedata
from collections import Counter

import Stemmer

_WORD = re.compile(r"\w+")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LONGEST_TERM = 64
# Words that stand in most English or Russian questions and passages and so tell them apart least.
STOP_WORDS = frozenset(
    """a about after all also am an and any are as at be been before being but by can could did do does doing for from
    had has have having he her hers him his how i if in into is it its just me more most my no not of on once only or
    other our ours out over own same she should so some such than that the their theirs them then there these they
    this those through to too under until up us very was we were what when where which while who whom why will with
    would you your yours
    а без бы был была были было быть в вам вас во вот вы где да для до его ее если есть же за и из или их к как
    какая какие какой когда кто ли мне можно мы на надо не ни но о об он она они от по при с со так то того
    только у чем что чтобы это я""".split()  # noqa: SIM905 - a paragraph of words reads better than a list of strings
)
# A Snowball stemmer keeps state in C and is not safe across threads, hence one per thread.
_threads = threading.local()


def terms(text: str) -> list[str]:
    """The stemmed search terms of a text in order, without stop words."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    kept = [word for word in words if word not in STOP_WORDS and len(word) <= _LONGEST_TERM]
    return [_stem(word) for word in kept]


def term_counts(text: str) -> dict[str, int]:
    """How often each search term stands in a text."""
    return dict(Counter(terms(text)))


def _stem(word: str) -> str:
    """The stem in the language that the letters speak for; e and yo are one letter, as people write them."""
    if not word.isascii() and _CYRILLIC.search(word):
        return str(_stemmer("russian").stemWord(word.replace("\u0451", "\u0435")))
    return str(_stemmer("english").stemWord(word))


def _stemmer(language: str) -> Stemmer.Stemmer:
    if not hasattr(_threads, "stemmers"):
        _threads.stemmers = {}
    if language not in _threads.stemmers:
        _threads.stemmers[language] = Stemmer.Stemmer(language)
    return _threads.stemmers[language]
