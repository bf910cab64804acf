"""Which passwords are taken, and how they are kept."""

import contextlib
import time

import pytest
from argon2 import PasswordHasher, extract_parameters
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequestError
from gateway.identity.passwords import hash_password, is_outdated, is_right, require_good

GOOD = ["tvK9-pluck-mango-sil", "blauer Elefant tanzt Samba", "correct horse battery staple", "пароль-из-четырёх-слов"]


@pytest.mark.parametrize("password", GOOD)
def test_long_passwords_of_any_kind_are_taken(password: str) -> None:
    require_good(password, "alice", ("Harbour",))


@pytest.mark.parametrize(
    ("password", "complaint"),
    [
        ("", "12 to 128"),
        ("kX9!vbn2#qL", "12 to 128"),
        ("ﬃﬃ" * 30, "12 to 128"),  # Ligatures become three letters each.
        ("long enough words " * 8, "12 to 128"),
        ("\ud800" * 12, "12 to 128"),
        ("tvK9-pluck-\x00mango", "control character"),
        ("tvK9-pluck-\tmango", "control character"),
        ("alice-alice-alice", "your name"),
        ("Harbour2026!Harbour", "your name"),
        ("ＨＡＲＢＯＵＲ-harbour-1", "your name"),
        ("muniment-muniment", "your name"),
        ("password123456", "easy to guess"),
        ("P@ssw0rd!P@ssw0rd!", "easy to guess"),
        ("qwertyuiopasdf", "easy to guess"),
        ("aaaaaaaaaaaaaaaaaaaa", "easy to guess"),
        ("abcabcabcabcabcabc", "easy to guess"),
        ("123456789012345", "easy to guess"),
    ],
)
def test_passwords_that_can_be_guessed_are_not(password: str, complaint: str) -> None:
    with pytest.raises(BadRequestError, match=complaint):
        require_good(password, "alice", ("Harbour",))


def test_composition_rules_alone_would_take_what_is_refused() -> None:
    """Negative control: a capital, a digit and a sign do not make a password hard to guess."""
    password = "Harbour2026!Harbour"
    assert any(map(str.isupper, password))
    assert any(map(str.isdigit, password))
    assert not password.isalnum()


def test_one_users_words_are_not_anothers() -> None:
    """zxcvbn keeps the words of its last caller; they must not stay."""
    with pytest.raises(BadRequestError):
        require_good("zanzibarquilt", "zanzibarquilt", ())
    require_good("zanzibar quilt moss", "alice", ())


@given(st.text(max_size=2000))
def test_no_text_breaks_the_rules_and_none_takes_long(password: str) -> None:
    started = time.perf_counter()
    with contextlib.suppress(BadRequestError):
        require_good(password, "alice", ("Harbour",))
    assert time.perf_counter() - started < 5


def test_a_password_is_kept_as_argon2id_with_the_recommended_work() -> None:
    parameters = extract_parameters(hash_password(GOOD[0]))
    assert parameters.type.name == "ID"
    assert (parameters.memory_cost, parameters.time_cost, parameters.parallelism) == (19_456, 2, 1)


def test_the_right_password_is_right_in_each_spelling_keyboards_have() -> None:
    stored = hash_password("Åse går på ski i dag")
    assert is_right(stored, "A\u030ase går på ski i dag")
    assert not is_right(stored, "Ase gar pa ski i dag")
    assert hash_password("x" * 12) != hash_password("x" * 12)


@pytest.mark.parametrize("password", ["", "wrong", "x" * 100_000, "\ud800" * 20, "\x00"])
def test_anything_else_is_wrong_whether_or_not_there_is_a_password(password: str) -> None:
    assert not is_right(hash_password(GOOD[0]), password)
    assert not is_right(None, password)
    assert not is_right("$argon2id$damaged", password)


def test_where_there_is_no_password_the_same_work_is_done() -> None:
    stored = hash_password(GOOD[0])
    is_right(None, "warm up")
    kept, none = (min(_seconds(hash_) for _ in range(5)) for hash_ in (stored, None))
    assert 0.5 < kept / none < 2


def _seconds(stored: str | None) -> float:
    started = time.perf_counter()
    is_right(stored, "wrong but long enough")
    return time.perf_counter() - started


def test_a_hash_of_other_parameters_is_noticed() -> None:
    assert not is_outdated(hash_password(GOOD[0]))
    assert is_outdated(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(GOOD[0]))
