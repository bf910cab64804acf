"""Forged tokens of every class we could think of, made by hand so that no library refuses to make them."""

import base64
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from gateway.identity.tokens import LOGOUT_EVENT, Expected

ISSUER, CLIENT, NONCE = "https://login.harbour.example", "muniment", "n-0S6_WzA2Mj"
NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
ACCESS_TOKEN = "SlAV32hkKG-access"
EXPECTED = Expected(ISSUER, CLIENT, ("RS256", "PS256", "ES256", "EdDSA"))

Header = Mapping[str, Any]
Claims = Mapping[str, Any]


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value: int, size: int | None = None) -> str:
    return encoded(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@lru_cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key for each name."""
    return rsa.generate_private_key(65537, bits)


@lru_cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@lru_cache
def ed_key(name: str) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def rsa_jwk(key: rsa.RSAPrivateKey, **more: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e), **more}


def ec_jwk(key: ec.EllipticCurvePrivateKey, **more: Any) -> dict[str, Any]:
    numbers = key.public_key().public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": number(numbers.x, 32), "y": number(numbers.y, 32), **more}


def ed_jwk(key: ed25519.Ed25519PrivateKey, **more: Any) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": encoded(key.public_key().public_bytes_raw()), **more}


@lru_cache
def provider_keys() -> tuple[dict[str, Any], ...]:
    """What the provider publishes; the last two must never verify anything."""
    return (
        rsa_jwk(rsa_key("provider"), kid="rsa", use="sig"),
        ec_jwk(ec_key("provider"), kid="ec", use="sig", alg="ES256"),
        ed_jwk(ed_key("provider"), kid="ed", use="sig"),
        rsa_jwk(rsa_key("encryption"), kid="enc", use="enc"),
        rsa_jwk(rsa_key("short", 1024), kid="short", use="sig"),
        {"kty": "oct", "k": encoded(b"shared secret"), "kid": "oct"},
    )


def rs256(data: bytes, key: rsa.RSAPrivateKey | None = None) -> bytes:
    return (key or rsa_key("provider")).sign(data, padding.PKCS1v15(), hashes.SHA256())


def ps256(data: bytes) -> bytes:
    return rsa_key("provider").sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())


def es256(data: bytes) -> bytes:
    r, s = utils.decode_dss_signature(ec_key("provider").sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def eddsa(data: bytes) -> bytes:
    return ed_key("provider").sign(data)


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda data: hmac.digest(secret, data, hashlib.sha256)


def public_pem() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return rsa_key("provider").public_key().public_bytes(serialization.Encoding.PEM, form)


def claims(**changed: Any) -> dict[str, Any]:
    """Those of a right ID token, changed; a claim changed to `...` is left out."""
    right = {
        "iss": ISSUER,
        "sub": "248289761001",
        "aud": CLIENT,
        "exp": AT + 300,
        "iat": AT - 5,
        "auth_time": AT - 60,
        "nonce": NONCE,
        "preferred_username": "alice",
    }
    return {name: value for name, value in (right | changed).items() if value is not ...}


def logout_claims(**changed: Any) -> dict[str, Any]:
    """Those of a right logout token, changed likewise."""
    right = {
        "iss": ISSUER,
        "sub": "248289761001",
        "aud": CLIENT,
        "exp": AT + 120,
        "iat": AT - 1,
        "jti": "bWJq",
        "sid": "08a5019c",
        "events": {LOGOUT_EVENT: {}},
    }
    return {name: value for name, value in (right | changed).items() if value is not ...}


def token(said: Claims | bytes, header: Header | bytes | None = None, sign: Callable[[bytes], bytes] = rs256) -> str:
    """A compact token of any header and claims, given as objects or as raw bytes."""
    header = {"alg": "RS256", "kid": "rsa", "typ": "JWT"} if header is None else header
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, said)]
    signed = ".".join(map(encoded, parts))
    return f"{signed}.{encoded(sign(signed.encode()))}"


def attacker(data: bytes) -> bytes:
    return rs256(data, rsa_key("attacker"))


def wrong_algorithms() -> Iterator[tuple[str, object]]:
    for spelling in ("none", "None", "NONE", "nOnE", "none ", "", "nоne"):
        yield f"alg {spelling!r}, no signature", token(claims(), {"alg": spelling}, lambda _: b"")
        yield f"alg {spelling!r}, some signature", token(claims(), {"alg": spelling, "kid": "rsa"}, rs256)
    for spelling in ("rs256", "RS256 ", "Rs256", "RS384", "RS512", "PS384", "ES384", "ES256K", "Ed448", "HS256"):
        yield f"alg {spelling!r}", token(claims(), {"alg": spelling, "kid": "rsa"})
    for value in (None, 0, True, ["RS256"], {"alg": "RS256"}):
        yield f"alg {value!r}", token(claims(), {"alg": value, "kid": "rsa"})
    yield "alg left out", token(claims(), {"kid": "rsa"})
    for secret in (public_pem(), public_pem().strip(), b"", CLIENT.encode(), b"shared secret"):
        for kid in ("rsa", "oct"):
            yield f"HS256 with {secret[:10]!r} as {kid}", token(claims(), {"alg": "HS256", "kid": kid}, hs256(secret))
    modulus = json.dumps(provider_keys()[0]).encode()
    yield "HS256 with the published key", token(claims(), {"alg": "HS256", "kid": "rsa"}, hs256(modulus))
    yield "ES256 said, RS256 signed", token(claims(), {"alg": "ES256", "kid": "ec"})
    yield "RS256 said, ES256 signed", token(claims(), {"alg": "RS256", "kid": "rsa"}, es256)
    yield "ES256 with the RSA key's kid", token(claims(), {"alg": "ES256", "kid": "rsa"}, es256)
    yield "PS256 said, PKCS1 signed", token(claims(), {"alg": "PS256", "kid": "rsa"})
    der = ec_key("provider").sign
    yield "ES256 as DER", token(claims(), {"alg": "ES256", "kid": "ec"}, lambda d: der(d, ec.ECDSA(hashes.SHA256())))
    yield "ES256 of zeros", token(claims(), {"alg": "ES256", "kid": "ec"}, lambda _: bytes(64))


def wrong_keys() -> Iterator[tuple[str, object]]:
    mine = rsa_jwk(rsa_key("attacker"), kid="rsa")
    yield "signed by another key", token(claims(), None, attacker)
    yield "no kid, another key", token(claims(), {"alg": "RS256"}, attacker)
    yield "no kid where several fit", token(claims(), {"alg": "RS256"})
    for kid in (
        "unknown",
        "",
        "../../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "rsa\x00",
        "RSA",
        "http://x/k",
        "r" * 500,
    ):
        yield f"kid {kid[:20]!r}", token(claims(), {"alg": "RS256", "kid": kid}, attacker)
    for value in (None, 1, True, ["rsa"], {}):
        yield f"kid {value!r}", token(claims(), {"alg": "RS256", "kid": value})
    yield (
        "kid of an encryption key",
        token(claims(), {"alg": "RS256", "kid": "enc"}, lambda d: rs256(d, rsa_key("encryption"))),
    )
    yield (
        "kid of a short key",
        token(claims(), {"alg": "RS256", "kid": "short"}, lambda d: rs256(d, rsa_key("short", 1024))),
    )
    for name, value in (
        ("jwk", mine),
        ("jku", "https://evil.example/jwks"),
        ("x5u", "https://evil.example/cert"),
        ("x5c", ["MIIB"]),
    ):
        yield f"{name} of the attacker", token(claims(), {"alg": "RS256", "kid": "rsa", name: value}, attacker)
        yield f"{name}, signed rightly", token(claims(), {"alg": "RS256", "kid": "rsa", name: value})


def wrong_headers() -> Iterator[tuple[str, object]]:
    base = {"alg": "RS256", "kid": "rsa"}
    for more in (
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
        {"cty": "JWT"},
        {"enc": "A256GCM"},
    ):
        yield f"header with {more}", token(claims(), base | more)
    for type_ in ("at+jwt", "logout+jwt", "dpop+jwt", "application/at+jwt", "JWE", "", 1, None, ["JWT"]):
        yield f"typ {type_!r}", token(claims(), base | {"typ": type_})
    yield "nested", token(token(claims()).encode(), base | {"cty": "JWT"})
    yield "nested without cty", token(token(claims()).encode())
    yield "alg doubled", token(claims(), b'{"alg":"none","alg":"RS256","kid":"rsa"}')
    yield "kid doubled", token(claims(), b'{"alg":"RS256","kid":"unknown","kid":"rsa"}')
    for raw in (b"", b"null", b"[]", b'"RS256"', b"{", b'{"alg":"RS256","kid":"rsa"}x', b"\xff\xfe{}", b"{}{}"):
        yield f"header {raw!r}", token(claims(), raw)


def wrong_forms() -> Iterator[tuple[str, object]]:
    right = token(claims())
    header, payload, signature = right.split(".")
    yield "no signature", f"{header}.{payload}."
    yield "no signature and no dot", f"{header}.{payload}"
    yield "no payload", f"{header}..{signature}"
    yield "one part more", f"{right}.{signature}"
    yield "encrypted", f"{header}.{payload}.{signature}.{signature}.{signature}"
    yield "signature cut", right[:-4]
    yield "signature of another token", f"{header}.{payload}.{token(claims(sub='1')).split('.')[2]}"
    yield "claims of another token", f"{header}.{token(claims(sub='1')).split('.')[1]}.{signature}"
    for what, spoilt in (
        ("padding", f"{header}.{payload}.{signature}=="),
        ("padded payload", f"{header}.{payload}=.{signature}"),
        ("blank before", f" {right}"),
        ("newline after", f"{right}\n"),
        ("newline within", f"{header}.\n{payload}.{signature}"),
        ("standard base64", f"{header}.{payload}.{signature[:-1]}+"),
        ("full-width dots", right.replace(".", "．")),
        ("full-width letters", right.replace("e", "ｅ", 1)),
        ("zero-width space", right.replace(".", ".\u200b", 1)),
        ("NUL", f"{right}\x00"),
        ("percent", right.replace(".", "%2E")),
        ("Bearer before", f"Bearer {right}"),
    ):
        yield f"form: {what}", spoilt
    # 256 bytes leave four bits of the last letter unused: sixteen spellings of one signature.
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = letters[letters.index(signature[-1]) ^ 1]
    yield "another spelling of the signature", f"{header}.{payload}.{signature[:-1]}{other}"
    yield "flattened JSON", json.dumps({"payload": payload, "protected": header, "signature": signature})
    two = [{"protected": header, "signature": signature}, {"header": {"alg": "none"}, "signature": ""}]
    yield "general JSON, one signature none", json.dumps({"payload": payload, "signatures": two})
    yield "general JSON, no signatures", json.dumps({"payload": payload, "signatures": []})
    yield "oversized", token(claims(padding="x" * 20_000))
    yield "oversized garbage", "a" * 10_000_000
    for value in (None, 1, b"a.b.c", [right], {"id_token": right}, ""):
        yield f"no text: {type(value).__name__}", value


def wrong_payloads() -> Iterator[tuple[str, object]]:
    body = json.dumps(claims())
    yield "issuer doubled", token(('{"iss":"https://evil.example",' + body[1:]).encode())
    yield "expiry doubled", token((body[:-1] + f', "exp": {AT + 9000}}}').encode())
    yield "name doubled by escapes", token((body[:-1] + ', "s\\u0075b": "admin"}').encode())
    for raw in (b"", b"null", b"[]", b"{", b"\xff", b"{}x", b"[" * 12_000, ("﻿" + body).encode()):
        yield f"payload {raw[:10]!r}", token(raw)
    yield "payload in UTF-16", token(body.encode("utf-16"))


def wrong_parties() -> Iterator[tuple[str, object]]:
    for issuer in (
        ...,
        None,
        "",
        "https://evil.example",
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER + ".evil.example",
        "http://login.harbour.example",
        ISSUER + " ",
        [ISSUER],
        [ISSUER, "https://evil.example"],
        {"iss": ISSUER},
    ):
        yield f"iss {issuer!r}", token(claims(iss=issuer))
    for audience in (
        ...,
        None,
        "",
        "other",
        "muniment2",
        "xmuniment",
        "MUNIMENT",
        "muniment other",
        ["other"],
        ["muniment", "other"],
        ["other", "muniment"],
        ["muniment", "muniment"],
        [],
        [["muniment"]],
        {"muniment": 1},
        True,
    ):
        yield f"aud {audience!r}", token(claims(aud=audience))
    for party in ("other", "", None, ["muniment"], 1):
        yield f"azp {party!r}", token(claims(azp=party))
    for subject in (..., None, "", 1, ["248289761001"], "x" * 256, "a\x00b", "a\nb"):
        yield f"sub {str(subject)[:20]!r}", token(claims(sub=subject))
    yield "sub of half a letter", token(json.dumps(claims()).replace("248289761001", "\\ud800").encode())


def wrong_times() -> Iterator[tuple[str, object]]:
    never = (..., None, "", str(AT + 300), AT + 300.5, True, [AT + 300], -1, 0, 1 << 34, 1 << 70, {})
    for name in ("exp", "iat"):
        for value in never:
            yield f"{name} {value!r}", token(claims(**{name: value}))
        for raw in ("NaN", "Infinity", "-Infinity", "1e400", f"{AT + 300}.0", "9" * 5000):
            body = json.dumps(claims(**{name: "@"})).replace('"@"', raw)
            yield f"{name} {raw[:20]}", token(body.encode())
    for value in (AT - 61, AT - 86400):
        yield f"exp {value - AT:+}", token(claims(exp=value, iat=AT - 500))
    yield "exp at iat", token(claims(exp=AT, iat=AT))
    for value in (AT + 61, AT + 86400, AT - 661, AT - 86400):
        yield f"iat {value - AT:+}", token(claims(iat=value))
    for value in (AT + 61, AT + 86400, str(AT), AT + 0.5, None, -1, 1 << 60):
        yield f"nbf {value!r}", token(claims(nbf=value))
    for value in (..., AT - 3661, AT + 61, str(AT), None, AT + 0.5, True):
        yield f"auth_time {value!r}", token(claims(auth_time=value))


def wrong_purposes() -> Iterator[tuple[str, object]]:
    for nonce in (..., None, "", "other", NONCE[:-1], NONCE + "=", NONCE.lower(), [NONCE], 0, math.pi):
        yield f"nonce {nonce!r}", token(claims(nonce=nonce))
    yield "logout token", token(logout_claims())
    yield "logout token with a nonce", token(logout_claims(nonce=NONCE, auth_time=AT))
    yield "access token", token(claims(nonce=..., scope="openid"), {"alg": "RS256", "kid": "rsa", "typ": "at+jwt"})
    for hash_ in ("", "wrong", None, 1, encoded(hashlib.sha256(ACCESS_TOKEN.encode()).digest())):
        yield f"at_hash {hash_!r}", token(claims(at_hash=hash_))


def forged_id_tokens() -> list[tuple[str, str, object]]:
    """Class, name and token of every forgery."""
    classes = (
        wrong_algorithms,
        wrong_keys,
        wrong_headers,
        wrong_forms,
        wrong_payloads,
        wrong_parties,
        wrong_times,
        wrong_purposes,
    )
    return [(made.__name__, name, forged) for made in classes for name, forged in made()]


def forged_logout_tokens() -> list[tuple[str, object]]:
    """Name and token of every forged logout token; what is wrong with the form is wrong with these too."""
    never = (
        ...,
        None,
        "",
        [],
        {},
        {"other": {}},
        {LOGOUT_EVENT: None},
        {LOGOUT_EVENT: "x"},
        [LOGOUT_EVENT],
        LOGOUT_EVENT,
    )
    logout = {"alg": "RS256", "kid": "rsa", "typ": "logout+jwt"}
    return [
        *((f"events {events!r}", token(logout_claims(events=events), logout)) for events in never),
        ("nonce", token(logout_claims(nonce=NONCE))),
        ("nonce null", token(logout_claims(nonce=None))),
        ("neither sub nor sid", token(logout_claims(sub=..., sid=...))),
        *((f"sid {value!r}", token(logout_claims(sid=value))) for value in (None, "", 1, ["x"], "x" * 300)),
        *((f"sub {value!r}", token(logout_claims(sub=value))) for value in (None, "", 1)),
        *((f"jti {value!r}", token(logout_claims(jti=value))) for value in (..., None, "", 1)),
        *((f"exp {value!r}", token(logout_claims(exp=value))) for value in (..., AT - 61, "x")),
        ("issued long ago", token(logout_claims(iat=AT - 400))),
        ("issued later", token(logout_claims(iat=AT + 100, exp=AT + 500))),
        ("other issuer", token(logout_claims(iss="https://evil.example"))),
        ("other audience", token(logout_claims(aud="other"))),
        ("more audiences", token(logout_claims(aud=[CLIENT, "other"]))),
        ("ID token", token(claims())),
        ("access token", token(logout_claims(), logout | {"typ": "at+jwt"})),
        ("alg none", token(logout_claims(), {"alg": "none"}, lambda _: b"")),
        ("another key", token(logout_claims(), logout, attacker)),
        ("HS256", token(logout_claims(), {"alg": "HS256", "kid": "rsa"}, hs256(public_pem()))),
    ]


def naive(presented: object, keys: tuple[dict[str, Any], ...]) -> bool:
    """Negative control: a verifier as one finds them, which believes what the token says about itself."""
    try:
        header_part, payload_part, signature_part = str(presented).strip().split(".")[:3]
        header, said = (json.loads(lenient(part)) for part in (header_part, payload_part))
        signed, signature = f"{header_part}.{payload_part}".encode(), lenient(signature_part)
        algorithm = header["alg"].lower()
        if algorithm == "hs256":
            genuine = hmac.compare_digest(hmac.digest(public_pem(), signed, hashlib.sha256), signature)
        elif algorithm != "none":
            jwk = header.get("jwk") or next(key for key in keys if key.get("kid", "") == header.get("kid"))
            read = lambda name: int.from_bytes(lenient(jwk[name]), "big")  # noqa: E731
            key = rsa.RSAPublicNumbers(read("e"), read("n")).public_key()
            key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
            genuine = True
        else:
            genuine = True
        return bool(genuine and ISSUER in said["iss"] and CLIENT in said["aud"] and float(said["exp"]) > AT)
    except Exception:  # noqa: BLE001 - as one finds them
        return False


def lenient(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
