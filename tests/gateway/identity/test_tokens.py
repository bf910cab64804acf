"""No forged token is accepted, and right ones are."""

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import tokens
from gateway.identity.options import Algorithm
from gateway.identity.tokens import Expected, TokenRefusedError, read_id_token, read_logout_token
from tests.gateway.identity import forgeries
from tests.gateway.identity.forgeries import (
    ACCESS_TOKEN,
    AT,
    CLIENT,
    EXPECTED,
    ISSUER,
    NONCE,
    NOW,
    claims,
    logout_claims,
    provider_keys,
    token,
)

FORGED = forgeries.forged_id_tokens()
FORGED_LOGOUTS = forgeries.forged_logout_tokens()
LOGOUT_HEADER = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}


def read(presented: object, **changed: Any) -> dict[str, Any]:
    """Read an ID token as the flow does."""
    asked: dict[str, Any] = {"nonce": NONCE, "access_token": ACCESS_TOKEN, "max_age": timedelta(hours=1)}
    return read_id_token(presented, provider_keys(), EXPECTED, NOW, **asked | changed)


@pytest.mark.parametrize("presented", [forged for *_, forged in FORGED], ids=[f"{c}-{n}" for c, n, _ in FORGED])
def test_no_forged_id_token_is_accepted(presented: object) -> None:
    with pytest.raises(TokenRefusedError):
        read(presented)


@pytest.mark.parametrize(
    "presented", [forged for _, forged in FORGED_LOGOUTS], ids=[name for name, _ in FORGED_LOGOUTS]
)
def test_no_forged_logout_token_is_accepted(presented: object) -> None:
    with pytest.raises(TokenRefusedError):
        read_logout_token(presented, provider_keys(), EXPECTED, NOW)


def test_there_are_many_classes_of_them_and_no_two_alike() -> None:
    assert len({name for _, name, _ in FORGED} | {name for name, _ in FORGED_LOGOUTS}) >= 200
    assert len({str(forged) for *_, forged in FORGED}) > 0.95 * len(FORGED)


def test_a_naive_verifier_accepts_forgeries_of_most_kinds() -> None:
    """Negative control: these tokens are dangerous, not merely broken."""
    fooled = [(class_, name) for class_, name, forged in FORGED if forgeries.naive(forged, provider_keys())]
    assert {class_ for class_, _ in fooled} >= {
        "wrong_algorithms",
        "wrong_keys",
        "wrong_headers",
        "wrong_forms",
        "wrong_payloads",
        "wrong_parties",
        "wrong_times",
        "wrong_purposes",
    }
    names = {name for _, name in fooled}
    assert {"alg 'nOnE', no signature", "jwk of the attacker", "logout token", "aud 'muniment2'"} <= names
    assert len(fooled) > 60
    assert forgeries.naive(token(claims()), provider_keys())


@pytest.mark.parametrize(
    ("check", "instead"),
    [
        ("_REFUSED_HEADERS", frozenset()),
        ("_check_access_token", lambda *_: None),
        ("_check_authentication", lambda *_: None),
        ("_check_parties", lambda *_: None),
        ("_check_times", lambda *_: None),
        ("_fits", lambda *_: True),
        ("_text", lambda said, name: str(said.get(name))),
        ("_time", lambda said, name: float(said.get(name) or 0)),
        ("_without_doubles", dict),
        ("_MOST_CHARACTERS", 10**9),
    ],
)
def test_without_any_one_of_the_checks_some_forgery_is_accepted(
    check: str, instead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: no check is there in vain, and these tests notice when one is lost."""
    monkeypatch.setattr(tokens, check, instead)
    accepted = []
    for _, name, forged in FORGED:
        try:
            read(forged)
            accepted.append(name)
        except Exception:  # noqa: BLE001 - a reader without one of its checks may break in any way
            continue
    assert accepted


@pytest.mark.parametrize(
    ("header", "sign"),
    [
        ({"alg": "RS256", "kid": "rsa"}, forgeries.rs256),
        ({"alg": "RS256", "kid": "rsa", "typ": "jwt", "x5t": "abc", "unknown": 1}, forgeries.rs256),
        ({"alg": "PS256", "kid": "rsa"}, forgeries.ps256),
        ({"alg": "ES256", "kid": "ec"}, forgeries.es256),
        ({"alg": "ES256"}, forgeries.es256),
        ({"alg": "EdDSA", "kid": "ed"}, forgeries.eddsa),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_right_tokens_of_each_algorithm_are_accepted(header: dict[str, Any], sign: Any) -> None:
    assert read(token(claims(), header, sign))["sub"] == "248289761001"


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT]},
        {"azp": CLIENT},
        {"nbf": AT},
        {"nbf": AT + 59},
        {"exp": AT - 2, "iat": AT - 30},
        {"iat": AT + 59},
        {"groups": ["everyone"]},
        {"sid": "08a5019c"},
    ],
    ids=str,
)
def test_what_the_standard_allows_is_accepted(changed: dict[str, Any]) -> None:
    assert read(token(claims(**changed)))["iss"] == ISSUER


@pytest.mark.parametrize(("algorithm", "hash_"), [("RS256", hashlib.sha256), ("EdDSA", hashlib.sha512)])
def test_a_right_access_token_hash_is_accepted(algorithm: Algorithm, hash_: Any) -> None:
    digest = hash_(ACCESS_TOKEN.encode()).digest()
    at_hash = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    header, sign = {"alg": algorithm, "kid": "rsa"}, forgeries.rs256
    if algorithm == "EdDSA":
        header, sign = {"alg": algorithm, "kid": "ed"}, forgeries.eddsa
    right = token(claims(at_hash=at_hash), header, sign)
    assert read(right)
    for other in (None, "", ACCESS_TOKEN + "x"):
        with pytest.raises(TokenRefusedError):
            read(right, access_token=other)


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "EdDSA"])
def test_an_algorithm_that_is_not_configured_is_refused(algorithm: Algorithm) -> None:
    only = Expected(ISSUER, CLIENT, (algorithm,))
    with pytest.raises(TokenRefusedError) as refused:
        read_id_token(token(claims()), provider_keys(), only, NOW, nonce=NONCE)
    assert refused.value.reason == "token-algorithm"


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [{}],
        [{"kty": "RSA", "kid": "rsa"}],
        [{"kty": "RSA", "kid": "rsa", "n": 1, "e": "AQAB"}],
        [{"kty": "RSA", "kid": "rsa", "n": "!!!", "e": "AQAB"}],
        [{"kty": "RSA", "kid": "rsa", "n": "AA", "e": "AA"}],
        [provider_keys()[0], provider_keys()[0]],
        [provider_keys()[0] | {"use": "enc"}],
        [provider_keys()[0] | {"key_ops": ["encrypt"]}],
        [provider_keys()[0] | {"key_ops": "verify"}],
        [provider_keys()[0] | {"alg": "PS256"}],
        [provider_keys()[1] | {"kid": "rsa"}],
        [{"kty": "oct", "kid": "rsa", "k": "AAAA"}],
    ],
    ids=range(13),
)
def test_keys_that_do_not_fit_verify_nothing(keys: list[dict[str, Any]]) -> None:
    with pytest.raises(TokenRefusedError):
        read_id_token(token(claims()), keys, EXPECTED, NOW, nonce=NONCE)


def test_only_a_key_that_is_not_there_is_worth_fetching_keys_again() -> None:
    for presented, worth in (
        (token(claims(), {"alg": "RS256", "kid": "new"}), True),
        (token(claims(), None, forgeries.attacker), False),
        (token(claims(iss="https://evil.example")), False),
    ):
        with pytest.raises(TokenRefusedError) as refused:
            read(presented)
        assert refused.value.names_unknown_key is worth


def test_refusals_say_nothing_to_the_caller_and_why_to_the_trail() -> None:
    said = set()
    for _, _, forged in FORGED[:50]:
        with pytest.raises(TokenRefusedError) as refused:
            read(forged)
        said.add(str(refused.value))
        assert refused.value.reason.startswith("token-")
        assert len(refused.value.reason) < 40
    assert len(said) == 1


@pytest.mark.parametrize("changed", [{}, {"sid": ...}, {"sub": ...}, {"aud": [CLIENT]}], ids=str)
@pytest.mark.parametrize("header", [LOGOUT_HEADER, None], ids=["typ", "plain"])
def test_right_logout_tokens_are_accepted(changed: dict[str, Any], header: Any) -> None:
    said = read_logout_token(token(logout_claims(**changed), header), provider_keys(), EXPECTED, NOW)
    assert (said.subject == "") is ("sub" in changed)
    assert (said.session == "") is ("sid" in changed)
    assert (said.token_id, said.expires_at) == ("bWJq", AT + 120)


@given(
    st.text(max_size=300)
    | st.binary(max_size=300)
    | st.from_regex(r"[\w-]{1,40}\.[\w-]{1,40}\.[\w-]{1,40}", fullmatch=True)
)
def test_no_text_at_all_breaks_the_reader(presented: object) -> None:
    with pytest.raises(TokenRefusedError):
        read(presented)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_bit_of_a_right_token_is_accepted(place: int, flip: int) -> None:
    right = token(claims()).encode()
    spoilt = bytearray(right)
    spoilt[place % len(right)] ^= flip
    with pytest.raises(TokenRefusedError):
        read(bytes(spoilt).decode("latin-1"))
