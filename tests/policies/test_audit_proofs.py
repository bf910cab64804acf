"""A receipt is held to the trail; whoever has the evidence and a public key needs neither the trail nor our code."""

import base64
import hashlib
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from policies.audit.checkpoints import sign_checkpoint
from policies.audit.events import AnswerGiven, Event, PassagesRetrieved, QuestionAsked, SearchAsked
from policies.audit.places import TrailPlace
from policies.audit.proofs import Evidence, Proof, evidence
from policies.audit.receipts import Receipt, ReceiptEntry, Sampling, receipt_digest, sign_receipt
from policies.audit.store import Trail
from policies.errors import TrailUnreadableError
from policies.keys import Keys

VERIFIER = Path(__file__).parents[2] / "deploy" / "verify_trail.py"
ALONE = runpy.run_path(str(VERIFIER))
WAIT_SECONDS = 20.0
FILES_ONLY = pytest.mark.parametrize("place", ["sqlite"], indirect=True)
ANSWER = "The allowance is 480 kroner [1]."
DIGEST = hashlib.sha256(ANSWER.encode()).hexdigest()
RECEIPT = Receipt(
    request="r7",
    principal="ada",
    subject="ada",
    at="2026-11-24T09:00:00+00:00",
    policy_revision="1" * 64,
    revision="2" * 64,
    decisions_sha256="3" * 64,
    passages=("4" * 64, "5" * 64),
    redactions={"PERSON": 2},
    model="small",
    model_sha256="6" * 64,
    sampling=Sampling("0.0", "1", 0, 100),
    output_sha256=DIGEST,
    intent=ReceiptEntry("", ""),
)
ASKED = QuestionAsked("r7", "ada", "http", "0" * 64, "small", "1" * 64)
FOUND = PassagesRetrieved("r7", 3, "1" * 64, 2, 1, ("4" * 64, "5" * 64, "9" * 64), ("a",) * 3, ("b",) * 3, (), "3" * 64)


def given(receipt: dict[str, Any]) -> AnswerGiven:
    return AnswerGiven("r7", False, ("a",), {"PERSON": 2}, DIGEST, receipt_digest(receipt))


def other(number: int) -> Event:
    return SearchAsked(f"s{number}", "bob", "http", "0" * 64, "1" * 64)


def answered(place: TrailPlace, keys: Keys, before: int = 5, after: int = 70) -> dict[str, Any]:
    """A trail in which one question was answered among other doings, and its receipt."""
    with Trail.open(place, keys) as trail:
        for number in range(before):
            trail.record(other(number), WAIT_SECONDS)
        entry = trail.record(ASKED, WAIT_SECONDS)
        receipt = sign_receipt(replace(RECEIPT, intent=ReceiptEntry(entry.log, entry.hash)), keys).to_dict()
        for event in (FOUND, other(99), given(receipt), *map(other, range(after))):
            trail.record(event, WAIT_SECONDS)
    return receipt


@pytest.fixture
def receipt(place: TrailPlace, keys: Keys) -> dict[str, Any]:
    return answered(place, keys)


@pytest.fixture
def found(place: TrailPlace, keys: Keys, receipt: dict[str, Any]) -> Evidence:
    return evidence(place, receipt, keys.public_key_pem(), ANSWER)


def alone(found: dict[str, Any], keys: Keys, text: str | None = ANSWER) -> list[str]:
    """What the verifier that shares no code with ours says."""
    key = keys.signing.public_key().public_bytes_raw()
    problems, _ = ALONE["check_answer"](json.loads(json.dumps(found)), [key], None if text is None else text.encode())
    return list(problems)


def test_a_receipt_is_proved(found: Evidence, keys: Keys) -> None:
    assert found.problems == ()
    assert [proof.kind for proof in found.proofs] == ["question:asked", "passages:retrieved", "answer:given"]
    assert all(proof.holds([keys.signing.public_key()]) for proof in found.proofs)
    assert alone(found.to_dict(), keys) == []


@pytest.mark.parametrize("before", [0, 1, 62, 63, 64, 127])
def test_it_is_proved_wherever_it_stands(place: TrailPlace, keys: Keys, before: int) -> None:
    found = evidence(place, answered(place, keys, before, after=before), keys.public_key_pem())
    assert found.problems == ()
    assert alone(found.to_dict(), keys, None) == []


def test_another_answer_is_not(place: TrailPlace, keys: Keys, receipt: dict[str, Any], found: Evidence) -> None:
    [problem] = evidence(place, receipt, keys.public_key_pem(), ANSWER + " ").problems
    assert "text" in problem
    assert alone(found.to_dict(), keys, ANSWER + " ") != []


def test_another_key_proves_nothing(
    place: TrailPlace, keys: Keys, other_keys: Keys, receipt: dict[str, Any], found: Evidence
) -> None:
    [problem] = evidence(place, receipt, other_keys.public_key_pem()).problems
    assert "not signed with this key" in problem
    assert not any(proof.holds([other_keys.signing.public_key()]) for proof in found.proofs)
    assert len(alone(found.to_dict(), other_keys)) == 4, "receipt and three entries"


CHANGES: dict[str, Any] = {
    "principal": "eve",
    "model": "big",
    "policy_revision": "7" * 64,
    "decisions_sha256": "7" * 64,
    "passages": ("7" * 64,),
    "redactions": {},
    "output_sha256": "7" * 64,
    "request": "r8",
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_receipt_that_says_something_else_is_not_the_trails(place: TrailPlace, keys: Keys, name: str) -> None:
    """Signed by the very key: an operator cannot hand out a second receipt for an answer."""
    intent = answered(place, keys)["receipt"]["intent"]
    forged = replace(RECEIPT, **{"intent": ReceiptEntry(**intent), name: CHANGES[name]})
    signed = sign_receipt(forged, keys).to_dict()
    found = evidence(place, signed, keys.public_key_pem())
    assert found.problems
    assert alone(found.to_dict(), keys, None) != []


def change_body(entry: dict[str, Any]) -> None:
    entry["body"] = entry["body"].replace("r7", "r9")


def change_place(entry: dict[str, Any]) -> None:
    entry["id"] += 1


def change_path(entry: dict[str, Any]) -> None:
    entry["path"][0] = "0" * 64


def cut_path(entry: dict[str, Any]) -> None:
    del entry["path"][-1]


def lengthen_path(entry: dict[str, Any]) -> None:
    entry["path"].append("0" * 64)


def change_previous(entry: dict[str, Any]) -> None:
    entry["previous"] = "0" * 64


def change_root(entry: dict[str, Any]) -> None:
    entry["checkpoint"]["checkpoint"]["root"] = "0" * 64


def change_signature(entry: dict[str, Any]) -> None:
    signature = bytearray(base64.b64decode(entry["checkpoint"]["signature"]))
    signature[5] ^= 1
    entry["checkpoint"]["signature"] = base64.b64encode(signature).decode()


@pytest.mark.parametrize(
    "change",
    [change_body, change_place, change_path, cut_path, lengthen_path, change_previous, change_root, change_signature],
    ids=lambda change: change.__name__,
)
def test_altered_evidence_is_noticed(found: Evidence, keys: Keys, change: Callable[[dict[str, Any]], None]) -> None:
    altered = json.loads(json.dumps(found.to_dict()))
    change(altered["entries"][0])
    assert any("is not one that was signed" in problem for problem in alone(altered, keys))


def test_an_altered_proof_does_not_hold(found: Evidence, keys: Keys) -> None:
    proof = found.proofs[0]
    altered: list[Proof] = [
        replace(proof, body=proof.body.replace("r7", "r9")),
        replace(proof, id=proof.id + 1),
        replace(proof, id=0),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, "0" * 64)),
        replace(proof, checkpoint=replace(proof.checkpoint, signature=bytes(64))),
    ]
    assert not any(each.holds([keys.signing.public_key()]) for each in altered)


def test_what_is_not_in_the_trail_is_said(place: TrailPlace, keys: Keys, tmp_path: Path) -> None:
    answered(place, keys)
    lost = sign_receipt(replace(RECEIPT, request="gone"), keys).to_dict()
    [problem] = evidence(place, lost, keys.public_key_pem()).problems
    assert "entries are missing" in problem
    with pytest.raises(TrailUnreadableError):
        evidence(tmp_path / "none.db", lost, keys.public_key_pem())


def test_what_is_not_signed_yet_is_said(place: TrailPlace, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policies.audit.store._SEAL_SECONDS", 3600.0)
    with Trail.open(place, keys) as trail:
        entry = trail.record(ASKED, WAIT_SECONDS)
        receipt = sign_receipt(replace(RECEIPT, intent=ReceiptEntry(entry.log, entry.hash)), keys).to_dict()
        problems = evidence(place, receipt, keys.public_key_pem()).problems
        assert problems[0] == "Entry 1 is not signed yet. Try again in a second."


def run(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", VERIFIER, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@FILES_ONLY
def test_the_file_runs_alone(place: TrailPlace, keys: Keys, found: Evidence, tmp_path: Path) -> None:
    """Without site packages, as an auditor runs it."""
    key, file, text = tmp_path / "key.pem", tmp_path / "evidence.json", tmp_path / "answer.txt"
    key.write_text(keys.public_key_pem())
    file.write_text(json.dumps(found.to_dict()))
    text.write_text(ANSWER)
    code, said = run("answer", file, "--key", key, "--text", text)
    assert (code, "ada was given this answer" in said) == (0, True), said
    code, said = run("trail", place, "--key", key)
    assert (code, said.startswith("79 entries")) == (0, True), said
    text.write_text("Another.")
    assert run("answer", file, "--key", key, "--text", text) == (1, "this is not the text of the answer\n")


@FILES_ONLY
def test_checkpoints_without_a_last_line_end_count_and_none_is_said(
    place: TrailPlace, keys: Keys, found: Evidence, tmp_path: Path
) -> None:
    """A file whose only line were passed over would let a cut trail look whole."""
    key, kept = tmp_path / "key.pem", tmp_path / "kept.jsonl"
    key.write_text(keys.public_key_pem())
    forged = replace(found.proofs[-1].checkpoint.checkpoint, number=99, count=999)
    line = sign_checkpoint(forged, keys.signing).line()
    for content in (line, f"{line}\n", f'{line}\n{{"checkpoint":'):
        kept.write_text(content)
        code, said = run("trail", place, "--key", key, "--checkpoints", kept)
        assert (code, "checkpoint 99, kept elsewhere, is not in the trail" in said) == (1, True), said
    for content in ("", '{"checkpoint":'):
        kept.write_text(content)
        code, said = run("trail", place, "--key", key, "--checkpoints", kept)
        assert (code, "holds no checkpoint" in said) == (1, True), said


def test_it_is_short_enough_to_be_read() -> None:
    lines = [line for line in VERIFIER.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert len(lines) <= 150
