"""Trying redaction out: lines of JSON, explanations, and a site's own kinds from its settings to its readers."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import lines
from gateway.cli.lines import LONGEST_LINE_BYTES, batches, found_in
from gateway.errors import BadRequestError
from policies.errors import RedactionFailedError
from policies.personal_data import EntityType, Span
from tests.fakes.patterns import PatternRedactor
from tests.gateway.cli.commands import Commands

CARD = "4111 1111 1111 1111"
OWN = """
[[redaction.types]]
name = "PROJECT"
words = ["Kestrel"]
"""
SHOWING = '@id("open-cards") permit (principal, action == Action::"personal-data:reveal", resource);'


def configure(commands: Commands, text: str) -> None:
    (commands.home / "muniment.toml").write_text(text, encoding="utf-8")


def redacted(commands: Commands, given: str | bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in commands.succeed("redact", "--jsonl", stdin=given).splitlines()]


def test_each_line_is_answered_with_every_span(commands: Commands, tmp_path: Path) -> None:
    text = f"\U0001f600 Ada Brandt\npays {CARD}"
    file = tmp_path / "lines.jsonl"
    given = [{"id": "a", "text": text}, {"text": "nothing", "id": None}, {"id": 3, "text": "", "more": 1}]
    file.write_text("\n".join(map(json.dumps, given)) + "\n\n")
    answered = [json.loads(line) for line in commands.succeed("redact", "--jsonl", str(file)).splitlines()]
    assert [(each["id"], each["text"]) for each in answered] == [("a", text), (None, "nothing"), (3, "")]
    assert answered[0]["spans"] == [
        {"start": 2, "end": 12, "type": "PERSON", "score": 1.0, "recogniser": "pattern", "masked": True},
        {"start": 18, "end": 37, "type": "CREDIT_CARD", "score": 1.0, "recogniser": "pattern", "masked": True},
    ]
    assert text[18:37] == CARD
    assert answered[1]["spans"] == answered[2]["spans"] == []
    assert list(answered[0]) == ["id", "text", "spans"]


def test_what_is_no_personal_data_is_listed_and_not_masked_unless_a_site_says_so(commands: Commands) -> None:
    text = "Ada Brandt on Friday"
    line = json.dumps({"id": 1, "text": text})

    def masked() -> dict[str, bool]:
        return {span["type"]: span["masked"] for span in redacted(commands, line)[0]["spans"]}

    assert masked() == {"PERSON": True, "DATE_TIME": False}
    assert commands.succeed("redact", stdin=text) == "⟦PERSON_1⟧ on Friday"
    (_, weekday) = json.loads(commands.succeed("redact", "--explain", "--json", stdin=text))["spans"]
    assert (weekday["masked"], weekday["shown_to_readers"], weekday["rules"]) == (False, True, [])
    assert "redaction.also" in weekday["reason"]
    configure(commands, '[redaction]\nalso = ["DATE_TIME"]\n')
    assert masked() == {"PERSON": True, "DATE_TIME": True}
    assert commands.succeed("redact", stdin=text) == "⟦PERSON_1⟧ on ⟦DATE_TIME_1⟧"


@pytest.mark.parametrize(
    "written",
    ['"x\\u00e9\\n"', "null", "true", "1.10", "-0.0", "123456789012345678901234567890", "1e5", '{"a": [1, {}]}', "[ ]"],
)
def test_an_id_stays_what_it_is(commands: Commands, written: str) -> None:
    said = commands.succeed("redact", "--jsonl", stdin=f'{{"id": {written}, "text": "x"}}')
    assert said.startswith(f'{{"id":{written.replace(" ", "")},"text":"x",')


def test_texts_are_echoed_to_the_letter(commands: Commands) -> None:
    texts = ["\u2028a\u2029\x85\x1b[31m\x00\r\n\t\u202e", "\ufeffA\u0301 \U0001f600", '\\ "⟦PERSON_1⟧" /', "e\u0301é"]
    given = "".join(
        json.dumps({"id": n, "text": text}, ensure_ascii=n % 2 == 0) + "\r\n" for n, text in enumerate(texts)
    )
    result = commands("redact", "--jsonl", stdin=("\ufeff" + given).encode())
    assert [json.loads(line)["text"] for line in result.stdout.splitlines()] == texts
    assert not {"\x1b", "\u202e", "\u2028", "\x85"} & set(result.stdout)


GOOD = json.dumps({"id": 1, "text": f"pay {CARD}"})


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "no JSON"),
        ("[]", "not of the form"),
        ('"text"', "not of the form"),
        ('{"id": 1}', "missing required field `text`"),
        ('{"text": "a"}', "missing required field `id`"),
        ('{"id": 1, "text": null}', "Expected `str`"),
        ('{"id": 1, "text": ["4111"]}', "Expected `str`"),
        ('{"id": 1, "text": "a", "text": "b"}', "'text' twice"),
        ('{"id": {"k": 1, "k": 2}, "text": "a"}', "'k' twice"),
        ('{"id": 1, "text": "\\ud800"}', "surrogate"),
        ('{"id": "\\udfff", "text": "a"}', "surrogate"),
        ('{"id": NaN, "text": "a"}', "no JSON"),
        ('{"id": 1, "text": "a"} {"id": 2, "text": "b"}', "no JSON"),
        ('{"id": 1, "text": "a\x01"}', "no JSON"),
        ('{"id": ' + "[" * 100_000 + "]" * 100_000 + ', "text": ""}', "no JSON"),
        (b'{"id": 1, "text": "\xff"}', "not UTF-8: byte 20"),
        ("\x00", "no JSON"),
    ],
)
def test_a_bad_line_ends_it_with_its_number(commands: Commands, bad: str | bytes, said: str) -> None:
    bad = bad if isinstance(bad, bytes) else bad.encode()
    result = commands("redact", "--jsonl", stdin=GOOD.encode() + b"\n\n" + bad + b"\n" + GOOD.encode() + b"\n")
    assert result.exit_code == 2
    assert "Line 3 of -" in result.stderr
    assert said in result.stderr
    assert "Traceback" not in result.output
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["spans"][0]["masked"]


def test_a_line_that_is_too_long_is_refused_without_reading_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_LINE_BYTES > 6 * 4_000_000
    monkeypatch.setattr(lines, "LONGEST_LINE_BYTES", 100_000)
    endless = io.BufferedReader(Endless())
    with pytest.raises(BadRequestError, match="Line 1 of x is longer than 100000 bytes"):
        list(batches(endless, "x"))


class Endless(io.RawIOBase):
    """A stream without end and without a line's end."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        buffer[:] = b"a" * len(buffer)
        return len(buffer)


class Failing(PatternRedactor):
    """Cannot look through one text."""

    def find_many(self, texts: Sequence[str]) -> list[list[Span]]:
        if "broken" in texts:
            message = "A pattern took too long."
            raise RedactionFailedError(message)
        return super().find_many(texts)


def test_a_text_that_cannot_be_looked_through_is_not_passed_on() -> None:
    given = "".join(json.dumps({"id": n, "text": t}) + "\n" for n, t in enumerate([CARD, "broken", CARD]))
    (batch,) = batches(io.BufferedReader(io.BytesIO(given.encode())), "x")
    answered: list[tuple[str, EntityType]] = []
    with pytest.raises(RedactionFailedError, match="Line 2 of x: A pattern took too long"):
        answered.extend((line.text, spans[0].type) for line, spans in found_in(batch, Failing(), "x"))
    assert answered == [(CARD, EntityType.CREDIT_CARD)]


def test_many_lines_go_together() -> None:
    given = b"".join(b'{"id": %d, "text": "x"}\n' % n for n in range(3_000))
    made = list(batches(io.BufferedReader(io.BytesIO(given)), "x"))
    assert [bytes(line.id) for batch in made for _, line in batch] == [b"%d" % n for n in range(3_000)]
    assert [number for batch in made for number, _ in batch] == list(range(1, 3_001))
    assert max(map(len, made)) > 100


PROGRAM = """
import sys
from pathlib import Path
import pytest
from tests.gateway.cli.commands import use_fakes
from tests.gateway.gated_model import GatedModel
from gateway.cli.program import main
use_fakes(pytest.MonkeyPatch(), GatedModel())
main()
"""


def started(commands: Commands, *arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "redact", *arguments, "--home", str(commands.home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": ".", "PYTHONIOENCODING": "ascii"},
    )


def test_a_line_is_answered_before_the_next_one_comes(commands: Commands) -> None:
    with started(commands, "--jsonl") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(2):
            process.stdin.write(json.dumps({"id": number, "text": "é " + CARD}, ensure_ascii=False).encode() + b"\n")
            process.stdin.flush()
            answered = json.loads(process.stdout.readline())
            assert (answered["id"], answered["text"]) == (number, "é " + CARD)
        process.stdin.close()
        assert process.wait(timeout=60) == 0


def test_nobody_reading_ends_it_quietly(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "many.jsonl").write_text((GOOD + "\n") * 20_000)
    with started(commands, "--jsonl", str(tmp_path / "many.jsonl")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == b""


def test_it_takes_lines_or_explains(commands: Commands) -> None:
    for other in ("--explain", "--json"):
        assert "--jsonl" in commands("redact", "--jsonl", other, stdin="").stderr
    assert "cannot be read" in commands.fail("redact", "--jsonl", "/nowhere/x", exit_code=2)
    assert commands.succeed("redact", "--jsonl", stdin="") == ""


def test_what_is_shown_follows_the_policies_in_force(commands: Commands, tmp_path: Path) -> None:
    def card_is_shown() -> bool:
        (card,) = commands.json("redact", "--explain", stdin=CARD)["spans"]
        assert card["masked"]
        return bool(card["shown_to_readers"])

    assert not card_is_shown()
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "open.cedar").write_text(SHOWING)
    commands.succeed("policy", "load", str(tmp_path / "rules"))
    assert card_is_shown()
    (tmp_path / "rules" / "open.cedar").write_text(
        SHOWING.replace("permit (principal,", 'permit (principal in Group::"x",')
    )
    commands.succeed("policy", "load", str(tmp_path / "rules"))
    assert not card_is_shown()


def test_an_explanation_says_what_and_why(commands: Commands) -> None:
    configure(commands, OWN)
    text = f"Ada Brandt\npays for Kestrel with {CARD}."
    said = commands("redact", "--explain", stdin=text)
    assert "›Kestrel‹ with" in said.stdout
    assert f"›{CARD}‹." in said.stdout
    assert "reader-sees-contacts" in said.stdout
    assert "No rule allows it." in said.stdout
    assert "your own terminal" in said.stderr
    explained = commands.json("redact", "--explain", stdin=text)["spans"]
    assert [(each["text"], each["shown_to_readers"]) for each in explained] == [
        ("Ada Brandt", True),
        ("Kestrel", False),
        (CARD, False),
    ]
    assert explained[0]["rules"] == ["reader-sees-contacts"]
    assert explained[1]["recogniser"] == "site, words"
    assert "were found" in commands("redact", "--explain", stdin="Nothing.").stderr
    german = commands("redact", "--explain", stdin="Die Reise wird von der Abteilung bezahlt und ist vorher zu melden.")
    assert "German" in german.stderr


def shown(commands: Commands) -> str:
    return json.dumps(commands.json("search", "Kestrel budget 2027", "--as", "alice")["passages"])


def test_a_sites_own_type_goes_all_the_way(commands: Commands) -> None:
    assert "Kestrel" in shown(commands)
    configure(commands, OWN)
    assert "Kestrel" in shown(commands), "what was read before is read anew by the next sync, not before"
    (source,) = commands.json("sync")["sources"]
    assert source["upserted"] == 3
    assert commands.json("sync")["sources"][0]["upserted"] == 0
    assert "Kestrel" not in shown(commands)
    assert "[project hidden]" in shown(commands)
    explained = commands.json("policy", "explain", "--user", "alice", "--document", "finance/budget.md")
    assert "PROJECT" in explained["masked"]
    asked = commands.json("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    assert asked["redactions"]["PROJECT"] >= 1
    assert commands.recorded("answer:given")[-1]["redactions"]["PROJECT"] >= 1
    assert all("⟦PROJECT_1⟧" in str(prompt) or "Kestrel" not in str(prompt) for prompt in commands.model.generations)
    listed = commands.json("policy", "oversharing")["listed"]
    assert any("PROJECT" in each["personal_data"] for each in listed)


def test_a_type_taken_out_stays_masked_until_documents_are_read_anew(commands: Commands) -> None:
    configure(commands, OWN)
    commands.succeed("sync")
    configure(commands, "")
    assert "Kestrel" not in shown(commands)
    assert "[project hidden]" in shown(commands)
    assert commands.json("ask", "What is the Kestrel budget for 2027?", "--as", "alice")["redactions"]["PROJECT"] >= 1
    assert commands.json("policy", "oversharing")["listed"]
    commands.succeed("sync")
    assert "Kestrel" in shown(commands)


def test_a_contact_is_shown_to_whoever_reads_the_document(commands: Commands) -> None:
    configure(commands, OWN + 'sensitivity = "contact"\n')
    commands.succeed("sync")
    assert "Kestrel" in shown(commands)
    assert commands.json("redact", "--explain", stdin="Kestrel")["spans"][0]["shown_to_readers"]


def test_settings_that_cannot_be_used_stop_the_start(commands: Commands) -> None:
    configure(commands, OWN.replace('"PROJECT"', '"PERSON"'))
    for command in (["search", "x", "--as", "alice"], ["sync"], ["redact", "--jsonl"]):
        said = commands(*command)
        assert said.exit_code == 10
        assert "muniment.toml is not valid: redaction.types[0].name: 'PERSON' is a built-in type" in said.stderr
    checks = {check["name"]: check for check in json.loads(commands("doctor", "--json").stdout)}
    assert checks["settings"]["level"] == "fail"


def test_rules_name_a_sites_types_only_where_there_are_some(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    rule = SHOWING.replace("resource);", 'resource) when { context.entity_type == EntityType::"PROJECT" };')
    (tmp_path / "rules" / "own.cedar").write_text(rule)
    assert commands("policy", "load", str(tmp_path / "rules")).exit_code != 0
    configure(commands, OWN)
    commands.succeed("policy", "load", str(tmp_path / "rules"))
    commands.succeed("sync")
    assert "Kestrel" in shown(commands)
    configure(commands, "")
    assert "[project hidden]" in shown(commands), "a rule that names a type which is gone reveals nothing"


TESTS = """
users: {ada: {groups: [staff]}}
labels: {staff: {allow_groups: [staff]}}
tests: [{user: ada, label: staff, expect: allow, masks: [PROJECT]}]
"""


def test_tests_of_policies_know_the_types_of_the_settings_they_are_given(empty: Commands, tmp_path: Path) -> None:
    (tmp_path / "tests.yaml").write_text(TESTS)
    (tmp_path / "muniment.toml").write_text(OWN)
    run = ["policy", "test", str(tmp_path / "tests.yaml")]
    assert "PROJECT" in empty(*run).stderr
    empty.succeed(*run, "--settings", str(tmp_path / "muniment.toml"))
    (tmp_path / "muniment.toml").write_text(OWN + 'sensitivity = "contact"\n')
    assert empty(*run, "--settings", str(tmp_path / "muniment.toml")).exit_code == 1
    (tmp_path / "muniment.toml").write_text(OWN.replace("PROJECT", "SECRET"))
    assert empty(*run, "--settings", str(tmp_path / "muniment.toml")).exit_code == 10
