"""Measuring an installation: figures that are right, and leaks that are seen."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Config
from gateway.evaluation.hostile import hostile_cases
from models.catalogue import load_catalogue
from models.errors import EngineUnavailableError
from tests.gateway.cli.commands import ACCESS, KESTREL_ANSWER, Commands

QUESTIONS: list[dict[str, Any]] = [
    {
        "id": "kestrel",
        "question": "What is the Kestrel budget for 2027?",
        "answer": "1400000 euros",
        "must_include": [["1400000"]],
        "pages": ["finance/budget.md"],
        "readers": ["finance"],
    },
    {
        "id": "holidays",
        "question": "How many days of holiday are there in a year?",
        "history": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hello, ask away."}],
        "answer": "27 days",
        "must_include": [["27 days"]],
        "pages": ["handbook/holidays.md"],
        "readers": ["everyone"],
    },
    {"id": "moon", "question": "Who owns the moon?", "answer": None},
]


@pytest.fixture
def questions(tmp_path: Path) -> str:
    path = tmp_path / "questions.jsonl"
    path.write_text("\n".join(json.dumps(question) for question in QUESTIONS))
    return str(path)


@pytest.fixture
def generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A generator that looks as if it had been pulled; the scripted model stands in for it."""
    artefact = load_catalogue().artefact(Config().models.generator)
    for file in artefact.files:
        path = tmp_path / "models" / artefact.id / file.path
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setenv("MUNIMENT_MODELS", str(tmp_path / "models"))
    return artefact.id


def test_pages_are_found_and_nothing_leaks(commands: Commands, questions: str) -> None:
    report = commands.json("eval", questions, "--as-readers-from", str(commands.access), "--only", "retrieval")
    assert report["retrieval"]["all"]["top_1"] == {"count": 2, "of": 2, "share": 1.0} | {
        bound: report["retrieval"]["all"]["top_1"][bound] for bound in ("low", "high")
    }
    assert report["retrieval"]["single_turn"]["top_1"]["of"] == 1
    assert report["retrieval"]["follow_up"]["top_1"]["of"] == 1
    leaks = report["leaks"]
    assert (leaks["searches"], leaks["unreadable"], leaks["examples"]) == (6, 0, [])
    assert leaks["searches_by_outsiders"] == 3  # bob for the first question, both for the third.
    assert leaks["passages"] > 0
    assert report["answers"] == []
    assert report["machine"]["versions"]["muniment"]


def test_a_page_somebody_may_not_read_is_seen(commands: Commands, questions: str, tmp_path: Path) -> None:
    """Negative control: what the installation lets people read is more than this file says."""
    rules = [{"prefix": "handbook/", "groups": ["finance"]}, {"prefix": "finance/", "groups": ["finance"]}]
    stricter = tmp_path / "stricter.json"
    stricter.write_text(json.dumps(ACCESS | {"rules": rules}))
    arguments = ("eval", questions, "--as-readers-from", str(stricter), "--only", "retrieval")
    result = commands(*arguments, "--json")
    assert result.exit_code == 1
    leaks = json.loads(result.stdout)["leaks"]
    assert leaks["unreadable"] > 0
    assert {leak["user"] for leak in leaks["examples"]} == {"bob"}
    assert {leak["path"] for leak in leaks["examples"]} == {"handbook/travel.md", "handbook/holidays.md"}
    people = commands(*arguments)
    assert people.exit_code == 1
    assert "handbook/travel.md" in people.stdout


def test_answers_are_judged_both_ways(commands: Commands, questions: str, generator: str, tmp_path: Path) -> None:
    """The scripted model gives the Kestrel answer to everything: right once, wrong or declined otherwise."""
    commands.model.says(KESTREL_ANSWER)
    out = tmp_path / "report.json"
    arguments = ("eval", questions, "--as-readers-from", str(commands.access), "--report", str(out))
    answers = commands.json(*arguments)["answers"][0]
    assert answers["model"] == generator
    assert answers["answerable"]["right"]["count"] == 1
    assert sum(share["count"] for share in answers["answerable"].values()) == 2
    assert sum(share["count"] for share in answers["unanswerable"].values()) == 1
    assert answers["failed"] == 0
    assert answers["first_token_ms"]["median"] is not None
    assert answers["total_ms"]["p95"] >= answers["total_ms"]["median"]
    assert answers["prompt_tokens"] > 150
    report = json.loads(out.read_text())
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    given = {one["id"]: one for one in report["given"]}
    assert given["kestrel"]["outcome"] == "right"
    assert given["kestrel"]["asked_as"] == "alice"
    assert given["kestrel"]["cited"] == ["finance/budget.md"]
    assert set(given["kestrel"]["signals"]) >= {"similarity", "support"}
    assert 0 <= given["kestrel"]["probability"] <= 1


def test_an_evaluation_is_in_the_trail(commands: Commands, questions: str, generator: str) -> None:
    commands.succeed("eval", questions, "--as-readers-from", str(commands.access), "--model", generator)
    assert len(commands.recorded("question:asked")) == 3 + len(hostile_cases())
    assert {event["channel"] for event in commands.recorded("question:asked")} == {"evaluation"}
    assert len(commands.recorded("search:asked")) == 6


def test_figures_for_people_stand_together(commands: Commands, questions: str, generator: str) -> None:
    said = commands.succeed("eval", questions, "--as-readers-from", str(commands.access))
    assert generator in said
    assert "answerable: right" in said
    assert "unanswerable: declined" in said
    assert "0 of" in said


def test_one_failure_costs_one_question(commands: Commands, questions: str, generator: str) -> None:
    commands.model.fails(EngineUnavailableError("The worker is gone."))
    answers = commands.json("eval", questions, "--as-readers-from", str(commands.access), "--model", generator)[
        "answers"
    ]
    assert answers[0]["failed"] == 3
    assert answers[0]["answerable"]["declined"]["count"] == 0
    assert answers[0]["unanswerable"]["declined"]["count"] == 0


@pytest.mark.parametrize(
    ("model", "exit_code"),
    [("no-such-model", 10), ("all-minilm-l6-v2", 2)],
)
def test_a_model_that_cannot_answer_is_refused_first(
    commands: Commands, questions: str, generator: str, model: str, exit_code: int
) -> None:
    assert generator
    arguments = ("eval", questions, "--as-readers-from", str(commands.access), "--model", model)
    assert model in commands.fail(*arguments, exit_code=exit_code)
    assert commands.recorded("search:asked") == []


def test_a_model_that_is_not_here_is_refused_first(
    commands: Commands, questions: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUNIMENT_MODELS", str(tmp_path / "none"))
    said = commands.fail("eval", questions, "--as-readers-from", str(commands.access), exit_code=9)
    assert "muniment models pull" in said
    assert commands.recorded("search:asked") == []


def test_readers_must_be_users_of_the_installation(commands: Commands, questions: str, tmp_path: Path) -> None:
    others = tmp_path / "others.json"
    others.write_text(json.dumps(ACCESS | {"users": {"zoe": ["everyone", "finance"]}}))
    said = commands.fail("eval", questions, "--as-readers-from", str(others), "--only", "retrieval", exit_code=5)
    assert "zoe" in said
    others.write_text(json.dumps(ACCESS | {"users": {"bob": ["everyone"]}}))
    said = commands.fail("eval", questions, "--as-readers-from", str(others), "--only", "retrieval", exit_code=2)
    assert "kestrel" in said


def test_files_that_are_not_what_they_should_be_are_named(commands: Commands, questions: str, tmp_path: Path) -> None:
    access, gone = str(commands.access), str(tmp_path / "gone")
    assert gone in commands.fail("eval", gone, "--as-readers-from", access, exit_code=2)
    assert gone in commands.fail("eval", questions, "--as-readers-from", gone, exit_code=2)


def test_a_report_that_cannot_be_written_is_said(commands: Commands, questions: str, tmp_path: Path) -> None:
    arguments = ("eval", questions, "--as-readers-from", str(commands.access), "--only", "retrieval")
    assert str(tmp_path) in commands.fail(*arguments, "--report", str(tmp_path), exit_code=2)


def test_of_several_sources_one_must_be_named(commands: Commands, questions: str, tmp_path: Path) -> None:
    """A page of another source would be held against rules that do not speak of it: a leak that is none, or unseen."""
    (tmp_path / "papers" / "finance").mkdir(parents=True)
    (tmp_path / "papers" / "finance" / "kestrel.md").write_text("# Kestrel\n\nThe Kestrel budget is for everybody.")
    open_to_all = tmp_path / "open.json"
    open_to_all.write_text(json.dumps(ACCESS | {"rules": [{"prefix": "finance/", "groups": ["everyone"]}]}))
    path = f"path={tmp_path / 'papers'}"
    commands.succeed("sources", "add", "papers", "--type", "folder", "--set", path, "--access", str(open_to_all))
    commands.succeed("sync", "papers")
    arguments = ("eval", questions, "--as-readers-from", str(commands.access), "--only", "retrieval")
    said = commands.fail(*arguments, exit_code=2)
    assert "--source" in said
    assert "company, papers" in said
    assert commands.recorded("search:asked") == []
    assert commands.json(*arguments, "--source", "company")["leaks"]["unreadable"] == 0
    assert "nowhere" in commands.fail(*arguments, "--source", "nowhere", exit_code=5)
