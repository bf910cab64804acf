"""Passwords: which are good enough, and how they are kept. Pure functions; storage and counting are `service.py`'s.

Rules after NIST SP 800-63B-4, 3.1.1.2: length counts, composition does not, and what is common, or made of the user's
or the company's words, is refused. Kept with Argon2id (RFC 9106) at the parameters of OWASP's cheat sheet on password
storage. The only module that imports argon2 and zxcvbn.
"""

import re
import secrets
import threading
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from zxcvbn import zxcvbn

from gateway.errors import BadRequestError

SHORTEST, LONGEST = 12, 128
"""Characters after NFKC."""
_MOST_READ = 1024
"""Characters looked at before normalising: one may become eighteen."""
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""19 MiB twice over, one lane: some 30 ms of one core. `check_needs_rehash` notices when these are changed."""
_ENOUGH_GUESSES = 10**8
"""What zxcvbn calls "safely unguessable": out of reach even where the lock-out does not help."""
_ZXCVBN_CHARACTERS = 72
"""It refuses more, since its time grows with the square; a longer password is judged by its beginning."""
_BESIDES_WORDS = 8
"""What must remain of a password when the words it must not be made of are taken out."""
_SHORTEST_WORD = 3
_one_at_a_time = threading.Lock()
"""zxcvbn keeps the words of its caller in a table that all threads share."""


def require_good(password: str, user_id: str, company_words: Iterable[str]) -> None:
    """Refuse a password that could be guessed.

    Raises:
        BadRequestError: It is too short, too long, made of the user's name or the company's words, or easy to guess.
    """
    plain = _normalised(password)
    if plain is None or not SHORTEST <= len(plain) <= LONGEST:
        message = f"The password must have {SHORTEST} to {LONGEST} characters. Several words in a row are good."
        raise BadRequestError(message)
    if any(unicodedata.category(character) == "Cc" for character in plain):
        message = "The password holds a control character, which no keyboard types twice alike. Leave it out."
        raise BadRequestError(message)
    words = _words(user_id, company_words)
    if len(_without(plain.casefold(), words)) < _BESIDES_WORDS:
        message = "The password is little more than your name or the company's words. Add something else to it."
        raise BadRequestError(message)
    if _guesses(plain, words) < _ENOUGH_GUESSES:
        message = "The password is easy to guess: common words, names, dates and rows of keys come first. Use others."
        raise BadRequestError(message)


def hash_password(password: str) -> str:
    """The text to keep: parameters, salt and hash."""
    return _HASHER.hash(_normalised(password) or "")


def is_right(stored: str | None, password: str) -> bool:
    """Whether a password is the one kept; the same work is done where none is kept."""
    plain = _normalised(password)
    try:
        right = _HASHER.verify(stored or _nobodys(), plain or "")
    except (VerificationError, InvalidHashError):
        return False
    return right and stored is not None and plain is not None


def is_outdated(stored: str) -> bool:
    """Whether a hash was made with other parameters than today's, and should be made again."""
    return _HASHER.check_needs_rehash(stored)


@lru_cache(1)
def _nobodys() -> str:
    """A hash that no password has, so that a user without one costs the same time."""
    return _HASHER.hash(secrets.token_urlsafe(32))


def _normalised(password: str) -> str | None:
    """The password in the form that is kept (NFKC, as keyboards differ); none when it is longer than any may be."""
    if len(password) > _MOST_READ:
        return None
    plain = unicodedata.normalize("NFKC", password)
    try:
        plain.encode()
    except UnicodeEncodeError:  # Half of a surrogate pair is no character.
        return None
    return plain


def _words(user_id: str, company_words: Iterable[str]) -> list[str]:
    said = [unicodedata.normalize("NFKC", word).casefold() for word in (user_id, "muniment", *company_words)]
    parts = [part for word in said for part in (word, *re.split(r"[\W_]+", word))]
    return sorted({part for part in parts if len(part) >= _SHORTEST_WORD}, key=lambda part: (-len(part), part))


def _without(text: str, words: Iterable[str]) -> str:
    for word in words:
        text = text.replace(word, "")
    return text


def _guesses(plain: str, words: list[str]) -> int:
    with _one_at_a_time:
        return int(zxcvbn(plain[:_ZXCVBN_CHARACTERS], user_inputs=words)["guesses"])
