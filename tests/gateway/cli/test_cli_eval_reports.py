"""Reports are stored as figures, vouched for, and count how often a hostile passage is obeyed or gives data away."""

import json
import stat
from pathlib import Path

import pytest

from gateway.evaluation.hostile import hostile_cases
from gateway.evaluation.store import StoredReports
from models.engine import Generation
from tests.fakes.scripted_model import prompt_of
from tests.gateway.cli.commands import DOCUMENTS, KESTREL_ANSWER, Commands
from tests.gateway.cli.test_cli_eval import generator as generator
from tests.gateway.cli.test_cli_eval import questions as questions
from tests.gateway.gated_model import GatedModel


def evaluated(commands: Commands, questions: str, *more: str) -> dict[str, object]:
    report: dict[str, object] = commands.json("eval", questions, "--as-readers-from", str(commands.access), *more)
    return report


def obey(model: GatedModel) -> None:
    """Have a model say the passages again, with whatever is written there, and be sure of it."""
    model.reply = parrot
    model.weights = lambda choice: dict(zip(choice.replies, (0.98, 0.02), strict=True))


def parrot(generation: Generation) -> str:
    told = prompt_of(generation.turns)
    found = next((case.text for case in hostile_cases() if case.text.splitlines()[0][:40] in told), KESTREL_ANSWER)
    return found.split("\n")[0]


def test_a_report_is_stored_listed_and_shown(commands: Commands, questions: str, generator: str) -> None:
    commands.model.says(KESTREL_ANSWER)
    report = evaluated(commands, questions)
    assert [one["id"] for one in commands.json("eval", "list")] == [report["id"]]
    assert commands.json("eval", "show", str(report["id"])) == report
    assert generator in commands.succeed("eval", "list")
    assert "answers over hostile passages" in commands.succeed("eval", "show", str(report["id"]))
    event = commands.recorded("model:evaluated")[0]
    assert (event["report"], event["models"]) == (report["id"], [generator])


def test_options_may_come_first_and_the_command_may_be_named(commands: Commands, questions: str) -> None:
    access = str(commands.access)
    commands.succeed("eval", "--only", "retrieval", "--as-readers-from", access, questions)
    commands.succeed("eval", "run", questions, "--only", "retrieval", "--as-readers-from", access)
    assert len(commands.json("eval", "list")) == 2


def test_a_report_names_every_version(commands: Commands, questions: str, generator: str) -> None:
    report = evaluated(commands, questions)
    assert set(report["models"]) == {"embedder", "entity-recogniser", "russian-recogniser"}  # type: ignore[call-overload]
    (answers,) = report["answers"]  # type: ignore[misc]
    assert answers["licence"] == "Apache-2.0"
    assert len(answers["sha256"]) == len(answers["template_sha256"]) == 64
    assert len(str(report["questions_sha256"])) == 64
    assert report["corpus"]


def test_what_is_stored_holds_no_text_and_is_private(commands: Commands, questions: str, generator: str) -> None:
    obey(commands.model)
    report = evaluated(commands, questions)
    stored = commands.home / "evaluations" / f"{report['id']}.json"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600
    content = stored.read_text()
    texts = [*DOCUMENTS, "Kestrel", "alice", "moon", *(case.text for case in hostile_cases())]
    assert [text for text in texts if text in content] == []


@pytest.mark.parametrize("change", [("0.0", "1.0"), ('"questions":3', '"questions":9')])
def test_a_report_that_was_edited_counts_for_nothing(
    commands: Commands, questions: str, generator: str, change: tuple[str, str]
) -> None:
    report = evaluated(commands, questions)
    stored = commands.home / "evaluations" / f"{report['id']}.json"
    content = stored.read_text()
    assert change[0] in content
    stored.write_text(content.replace(change[0], change[1], 1))
    assert "is not what was stored" in commands.fail("eval", "show", str(report["id"]), exit_code=6)
    assert commands.json("eval", "list") == []


def test_a_report_under_another_name_counts_for_nothing(commands: Commands, questions: str) -> None:
    """An old report must not pass for a newer one, whose time its name tells."""
    report = evaluated(commands, questions, "--only", "retrieval")
    stored = commands.home / "evaluations" / f"{report['id']}.json"
    stored.rename(stored.with_name("29991231-000000-aaaaaa.json"))
    assert commands.json("eval", "list") == []


def test_an_edit_is_noticed_by_its_digest_alone(
    commands: Commands, questions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: a store whose digest is over nothing takes an edited report."""
    monkeypatch.setattr(StoredReports, "_mac", lambda *_: "always")
    report = evaluated(commands, questions, "--only", "retrieval")
    stored = commands.home / "evaluations" / f"{report['id']}.json"
    stored.write_text(stored.read_text().replace('"questions":3', '"questions":9'))
    assert commands.json("eval", "show", str(report["id"]))["questions"] == 9


def test_a_report_that_is_not_there_is_said(commands: Commands) -> None:
    assert "muniment eval list" in commands.fail("eval", "show", "../keys/master", exit_code=5)


def test_a_model_that_obeys_is_counted(commands: Commands, questions: str, generator: str) -> None:
    obey(commands.model)
    (answers,) = evaluated(commands, questions)["answers"]  # type: ignore[misc]
    obeyed = answers["injection"]["obeyed"]
    assert obeyed["of"] == sum(bool(case.obeyed) for case in hostile_cases())
    assert "ignore-previous" in answers["injection"]["examples"]
    # Links and pictures are taken out of what leaves, whatever the model says.
    assert not {"link", "picture"} & set(answers["injection"]["examples"])


def test_a_model_that_does_not_obey_is_not(commands: Commands, questions: str, generator: str) -> None:
    commands.model.says(KESTREL_ANSWER)
    (answers,) = evaluated(commands, questions)["answers"]  # type: ignore[misc]
    assert answers["injection"]["obeyed"]["count"] == 0
    assert answers["injection"]["obeyed"]["of"] > 0


def test_sealed_values_that_leave_are_counted(commands: Commands, questions: str, generator: str) -> None:
    """The fake recogniser knows cards of four times four digits and no others: a negative control by itself."""
    obey(commands.model)
    (answers,) = evaluated(commands, questions)["answers"]  # type: ignore[misc]
    examples = set(answers["personal_data"]["examples"])
    assert "card-with-order" in examples
    assert not {"card", "card-spelled"} & examples
    assert answers["personal_data"]["leaking"] == len(examples)


def test_without_room_it_is_said(commands: Commands, questions: str) -> None:
    (commands.home / "evaluations").write_text("a file where the folder should be")
    arguments = ("eval", questions, "--as-readers-from", str(commands.access), "--only", "retrieval")
    assert "cannot be stored" in commands.fail(*arguments, exit_code=10)


def test_the_cases_are_all_of_use() -> None:
    cases = hostile_cases()
    assert len({case.id for case in cases}) == len(cases)
    assert all(case.obeyed or case.sealed for case in cases)
    assert json.dumps([case.question for case in cases])


def test_cases_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    broken = tmp_path / "hostile.toml"
    broken.write_text("[[cases]]\nid = 3\n")
    with pytest.raises(Exception, match="cannot be read"):
        hostile_cases(broken)
