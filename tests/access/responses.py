"""What somebody sees of a response, byte for byte, with what may differ between two runs taken out and nothing else."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

TIMINGS = {"took_ms", "timings_ms", "created", "created_at", "at"}
"""How long it took, and when."""
SIGNATURES = {"signature"}
"""Of the receipt: over times and identifiers, too."""
IDENTIFIERS = {
    "request": r"r[0-9a-f]{20}",
    "conversation": r"c[a-z2-7]{24}",
    "id": r"chatcmpl-r[0-9a-f]{20}",
    "hash": r"[0-9a-f]{64}",
    "revision": r"[0-9a-f]{64}",
}
"""Random, or digests that cannot be told from it, for each request; that they count nothing is a test of its own."""
HEADERS = {"x-request-id", "content-length"}
"""The one is an identifier, the other counts the digits of the timings."""
CONVERSATION = re.compile(IDENTIFIERS["conversation"])
_DECIMALS = 4


def shown(response: httpx.Response) -> bytes:
    """Status, headers and body, normalised."""
    headers = {name: value for name, value in response.headers.items() if name not in HEADERS}
    return json.dumps([response.status_code, headers, normalised(body(response))]).encode()


def body(response: httpx.Response) -> Any:
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return [json.loads(line) if line.startswith("{") else line for line in response.text.split("data: ")]
    return response.json() if response.content else None


def normalised(value: Any) -> Any:
    """The value with timings, signatures and identifiers replaced by their names, and scores cut to 4 decimals."""
    if isinstance(value, Mapping):
        return {name: field(name, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [normalised(each) for each in value]
    if isinstance(value, str):
        return CONVERSATION.sub("<conversation>", value)
    return round(value, _DECIMALS) if isinstance(value, float) else value


def field(name: str, value: Any) -> Any:
    if name in TIMINGS | SIGNATURES or (name in IDENTIFIERS and isinstance(value, str) and is_identifier(name, value)):
        return f"<{name}>"
    return normalised(value)


def is_identifier(name: str, value: str) -> bool:
    return re.fullmatch(IDENTIFIERS[name], value) is not None


def identifiers(value: Any) -> list[tuple[str, str]]:
    """Every random identifier in a body, with its kind, in order."""
    if isinstance(value, Mapping):
        return [found for each in value.values() for found in identifiers(each)]
    if isinstance(value, list):
        return [found for each in value for found in identifiers(each)]
    return [(kind, value) for kind in IDENTIFIERS if isinstance(value, str) and is_identifier(kind, value)]


def look_counted(ids: Sequence[str]) -> bool:
    """Whether ids, in the order they were given out, look as if they counted something.

    Random ones of 20 letters and more are all different, rise and fall about equally often, and neighbours hardly
    begin alike; 30 of them fail this by chance less than once in a million times.
    """
    pairs = list(itertools.pairwise(ids))
    rising = sum(one < other for one, other in pairs) / len(pairs)
    alike = any(letters(one)[:8] == letters(other)[:8] for one, other in pairs)
    return len(set(ids)) < len(ids) or not 0.1 < rising < 0.9 or alike or min(map(len, ids)) < 20


def letters(id_: str) -> str:
    """An id without the letters that say of what it is."""
    return re.sub(r"^(chatcmpl-)?[rcd]", "", id_)
