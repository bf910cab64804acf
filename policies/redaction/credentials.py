"""Secrets: keys and tokens by their shapes, passwords by what stands before them."""

import re
from collections.abc import Callable
from itertools import pairwise

from policies.personal_data import EntityType
from policies.redaction.rules import Rule, holds

_NAMED = (
    r"pass(?:word|wd|phrase|code)?|pwd|pin(?: code)?|secret(?:[ _-]?(?:key|access[ _-]?key))?|(?:api|access|auth"
    r"|private|encryption|signing|account)[ _-]?key|"
    r"(?:access|auth|api|refresh|bearer|session|bot)[ _-]?token|token|client[ _-]?secret|credentials?"
    r"|connection[ _-]?string|passwort|kennwort|geheimnis|mot[ _]de[ _]passe|contrasena|clave|wachtwoord|haslo"
    r"|senha|парол[ья]"
)
_PASSWORDS = (
    r"pass(?:word|wd|phrase|code)|pwd|passwort|kennwort|mot[ _]de[ _]passe|contrasena|clave|wachtwoord"
    r"|haslo|senha|парол[ья]"
)
# What documentation writes where a secret would stand.
_PLACEHOLDER = re.compile(
    r"[<\[{($%*.…]|x{3,}|\.\.\.|your|my|the|example|changeme|none|null|true|false|redacted|required|optional|string"
    r"|secret|token|password|key\b|https?:|see\b|is\b|are\b",
    re.IGNORECASE,
)
# A call, or a place in a table, from which code would take it.
_LOOKED_UP = re.compile(r"[A-Za-z_][\w.]*[\[(]")
_NAME_OF_ONE = re.compile(r"token|secret|pass|key|your|example|value|name|\(\)", re.IGNORECASE)
_FEWEST_CHARS = 4
_BLOB_CHARS = 40


def _is_secret(value: str) -> bool:
    """Whether what was assigned looks chosen to be hard to guess, rather than like a word of documentation."""
    stripped = value.strip("\"'`,;.)")
    if len(stripped) < _FEWEST_CHARS or _PLACEHOLDER.match(stripped) or _LOOKED_UP.match(stripped):
        return False
    if stripped.isalpha():
        return False
    return any(map(str.isdigit, stripped)) or not _NAME_OF_ONE.search(stripped)


def _is_chosen(value: str) -> bool:
    """Whether a word mixes letters, digits and signs as passwords do, and is no date, path or call."""
    changes = sum(left.isdigit() != right.isdigit() for left, right in pairwise(value))
    return changes >= 2 and not _PLACEHOLDER.match(value) and not any(sign in value for sign in "/()[]{}")  # noqa: PLR2004 - into digits and out again


def _is_blob(value: str) -> bool:
    """Whether a long run has capitals, small letters and digits mixed, as encoded keys have and words have not."""
    changes = sum(left.isdigit() != right.isdigit() for left, right in pairwise(value))
    kinds = any(map(str.isupper, value)), any(map(str.islower, value)), any(map(str.isdigit, value))
    return all(kinds) and changes >= 4 and value.count("/") <= len(value) // 10  # noqa: PLR2004 - digits in two places


def _secret(name: str, pattern: str, score: float = 0.95, needs: Callable[[str], object] = bool) -> Rule:
    return Rule(name, EntityType.SECRET, re.compile(pattern), score, needs=needs)


_LOGIN = re.compile(r"(?<=://)[^\s/@:]{0,64}:[^\s/@]{1,128}(?=@)")


def without_logins(text: str) -> str:
    """The text with the logins of web addresses blanked, character for character: no e-mail address begins in them."""
    return _LOGIN.sub(lambda match: " " * len(match[0]), text) if "://" in text else text


PREFIXED = (
    _secret(
        "private key",
        r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s:,-]{0,400}?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----"
        r"|\Z)",
        1.0,
        holds("PRIVATE KEY-----"),
    ),
    _secret(
        "end of a private key",
        r"(?<![A-Za-z0-9+/=])(?:[A-Za-z0-9+/=]{1,80}+\s{1,2}){0,6}-----END [A-Z ]{0,30}PRIVATE KEY-----",
        1.0,
        holds("PRIVATE KEY-----"),
    ),
    _secret(
        "access key of AWS",
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AGPA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])",
        needs=holds("AKIA", "ASIA", "AGPA", "AROA", "AIDA"),
    ),
    _secret(
        "token of GitHub",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{30,255})",
        needs=holds("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    ),
    _secret(
        "token of GitLab",
        r"(?<![A-Za-z0-9])gl(?:pat|dt|rt)-[A-Za-z0-9_-]{20,64}",
        needs=holds("glpat-", "gldt-", "glrt-"),
    ),
    _secret(
        "token of Slack",
        r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,250}|hooks\.slack\.com/services/[A-Za-z0-9/]{20,100}",
        needs=holds("xox", "hooks.slack.com/"),
    ),
    _secret(
        "key of Stripe",
        r"(?<![A-Za-z0-9])(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,250}",
        needs=holds("k_live_", "k_test_"),
    ),
    _secret("key of Google", r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}", needs=holds("AIza")),
    _secret(
        "key of a model provider",
        r"(?<![A-Za-z0-9])(?:sk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,250}|hf_[A-Za-z0-9]{30,60})",
        needs=holds("sk-", "hf_"),
    ),
    _secret(
        "other prefixed token",
        r"(?<![A-Za-z0-9])(?:npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}"
        r"|SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{16,64}|sgp_[A-Za-z0-9_]{30,80}|dop_v1_[a-f0-9]{64})",
        needs=holds("npm_", "pypi-", "SG.", "sgp_", "dop_v1_"),
    ),
    _secret(
        "JSON web token",
        r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,400}\.[A-Za-z0-9_-]{8,400}(?:\.[A-Za-z0-9_-]{0,400})?",
        needs=holds("eyJ"),
    ),
)
"""Rules for keys and tokens that tell themselves by how they begin."""

RULES = (
    *PREFIXED,
    Rule("credentials in a URL", EntityType.SECRET, _LOGIN, 0.95, needs=holds("://")),
    _secret(
        "authorization header", r"(?i:\b(?:bearer|basic))\s+(?=[A-Za-z+/_.-]{0,40}\d)[A-Za-z0-9+/_.=-]{16,400}", 0.9
    ),
    Rule(
        "secret, named",
        EntityType.SECRET,
        re.compile(
            rf"(?i:\b(?:\w{{1,20}}_)?(?:{_NAMED})\b)[\"'`]?\s{{0,3}}(?:[:=]|=>|(?i:is"
            rf"|was)\b:?)\s{{0,3}}[\"'`]?(?P<value>[^\s\"'`]{{3,200}}[^\s\"'`.,;:)])"
        ),
        0.8,
        _is_secret,
    ),
)
"""Rules for text that holds a long unbroken run or one of `HINTS`."""

ENCODED = Rule(
    "encoded key",
    EntityType.SECRET,
    re.compile(rf"(?<![A-Za-z0-9+/=_.%-])[A-Za-z0-9+/_-]{{{_BLOB_CHARS},400}}={{0,2}}(?![A-Za-z0-9%])"),
    0.6,
    _is_blob,
)
OUTSIDE_LINKS = (
    ENCODED,
    Rule(
        "password, named near by",
        EntityType.SECRET,
        re.compile(
            rf"(?i:(?<![^\W_])(?:{_PASSWORDS})(?![^\W\d_])).{{0,60}}?(?<![^\s\"'`|;,:=>(])"
            r"(?P<value>(?=[^\s\"'`|;,<>]{0,60}[0-9])(?=[^\s\"'`|;,<>]{0,60}[a-z])(?=[^\s\"'`|;,<>]{0,60}[A-Z])[^\s\"'`|;,<>(][^\s\"'`|;,<>]{7,127}[^\s\"'`|;,<>.:)])",
            re.DOTALL,
        ),
        0.7,
        _is_chosen,
    ),
)
"""Rules for text without web addresses, since these hold long codes too."""

HINTS = re.compile(
    r"\S{16}|pass|pwd|kennwort|contrasena|clave|wachtwoord|haslo|senha|парол|\bpin\b|secret|key|token"
    r"|credential|connection|bearer|basic",
    re.IGNORECASE,
)
"""Text without any of these holds no secret that the rules would find."""
