"""Promoting at the command line: by a report that passes, past gates for a reason alone, and back in one command."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.config import Home, load_config
from gateway.models import choosing, recording
from gateway.models.history import History
from models.catalogue import Catalogue, load_catalogue
from tests.gateway.cli.commands import KESTREL_ANSWER, Commands, services_catalogue
from tests.gateway.cli.test_cli_eval import questions as questions
from tests.gateway.cli.test_cli_models import catalogue as catalogue
from tests.gateway.cli.test_cli_models import mirror as mirror
from tests.gateway.cli.test_cli_models import models_folder as models_folder
from tests.gateway.cli.test_commands_are_recorded import kinds_in

REASON = ("--reason", "The old model is no longer licensed.")


def set_up(commands: Commands, **settings: str) -> None:
    """Change settings where they stand first in the file."""
    file = commands.home / "muniment.toml"
    text = file.read_text()
    for name, value in settings.items():
        text, changed = re.subn(rf"^(# )?{name} = .*$", f"{name} = {value}", text, count=1, flags=re.MULTILINE)
        assert changed
    file.write_text(text)


@pytest.fixture
def ready(commands: Commands, catalogue: Catalogue, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Commands:
    """Two generators are here, beside those of the shipped catalogue, and the small one is in use."""
    shipped = load_catalogue()
    services_catalogue(monkeypatch, Catalogue(shipped.defaults, (*shipped.artefacts, *catalogue.artefacts)))
    commands.succeed("models", "pull", "small-model", "other-model", "--mirror", str(mirror))
    commands.succeed("models", "use", "small-model")
    set_up(commands, questions_least="1", declined_least="0.0", latency_ratio_most="1000.0")
    commands.model.says(KESTREL_ANSWER)
    return commands


def measure(commands: Commands, questions: str, *models: str) -> dict[str, Any]:
    named = [word for model in models for word in ("--model", model)]
    report: dict[str, Any] = commands.json("eval", questions, "--as-readers-from", str(commands.access), *named)
    return report


def in_use(commands: Commands) -> str:
    return load_config(Home(commands.home)).models.generator


def test_without_a_report_nothing_is_promoted(ready: Commands) -> None:
    said = ready.fail("models", "promote", "other-model", exit_code=6)
    assert "muniment eval" in said
    assert in_use(ready) == "small-model"
    assert ready.recorded("model:promoted") == []


def test_a_report_that_passes_promotes(ready: Commands, questions: str) -> None:
    report = measure(ready, questions, "small-model", "other-model")
    assert "other-model is the generator in use" in ready.succeed("models", "promote", "other-model")
    assert in_use(ready) == "other-model"
    (event,) = ready.recorded("model:promoted")
    assert (event["model"], event["previous"], event["report"]) == ("other-model", "small-model", report["id"])
    assert (event["forced"], event["failed"]) == (False, [])
    newest = ready.json("models", "history")[0]
    assert (newest["model"], newest["cause"], newest["report"]) == ("other-model", "promoted", report["id"])


def test_a_gate_that_is_closed_is_named_with_figure_and_limit(ready: Commands, questions: str) -> None:
    set_up(ready, right_least="0.9")
    measure(ready, questions, "small-model", "other-model")
    said = ready.fail("models", "promote", "other-model", exit_code=6)
    assert "Right: 0.50 (1 of 2), and at least 0.9 is needed" in said
    assert in_use(ready) == "small-model"


def test_a_report_over_other_questions_compares_nothing(ready: Commands, questions: str, tmp_path: Path) -> None:
    measure(ready, questions, "small-model")
    fewer = tmp_path / "fewer.jsonl"
    fewer.write_text(Path(questions).read_text().splitlines()[0])
    measure(ready, str(fewer), "other-model")
    assert "no report on the model in use" in ready.fail("models", "promote", "other-model", exit_code=6)


def test_a_report_that_was_edited_promotes_nothing(ready: Commands, questions: str) -> None:
    set_up(ready, right_least="0.9")
    report = measure(ready, questions, "small-model", "other-model")
    stored = ready.home / "evaluations" / f"{report['id']}.json"
    stored.write_text(stored.read_text().replace('"share":0.5', '"share":1.0'))
    said = ready("models", "promote", "other-model")
    assert said.exit_code == 6
    assert "there is none for this version" in said.stderr


def test_force_needs_a_reason_and_is_in_the_trail(ready: Commands) -> None:
    assert "--reason" in ready.fail("models", "promote", "other-model", "--force", exit_code=2)
    ready.succeed("models", "promote", "other-model", "--force", *REASON)
    (event,) = ready.recorded("model:promoted")
    assert (event["forced"], event["reason"], event["failed"]) == (True, REASON[1], ["report"])


def test_rollback_goes_back_step_by_step_and_needs_no_report(ready: Commands) -> None:
    before = load_config(Home(ready.home)).models.generator
    ready.succeed("models", "promote", "other-model", "--force", *REASON)
    ready.succeed("models", "rollback", "--reason", "It is too slow.")
    assert in_use(ready) == before == "small-model"
    (event,) = ready.recorded("model:rolled-back")
    assert (event["model"], event["previous"], event["cause"]) == ("small-model", "other-model", "It is too slow.")
    # Once more goes further back, never forth again; what was before that is not on this machine.
    assert "muniment models pull" in ready.fail("models", "rollback", exit_code=9)


def test_where_nothing_was_before_it_is_said(commands: Commands) -> None:
    assert "muniment models use" in commands.fail("models", "rollback", exit_code=6)


def test_a_corrupt_model_is_not_promoted_even_by_force(ready: Commands, models_folder: Path) -> None:
    weights = models_folder / "other-model" / "weights.bin"
    weights.chmod(0o600)
    weights.write_bytes(b"OTHER WEIGHTS")
    ready.fail("models", "promote", "other-model", "--force", *REASON, exit_code=9)
    assert in_use(ready) == "small-model"
    assert ready.recorded("model:promoted") == []


def test_what_cannot_be_promoted_is_said(ready: Commands) -> None:
    assert "in use already" in ready.fail("models", "promote", "small-model", exit_code=6)
    assert "no-such-model" in ready.fail("models", "promote", "no-such-model", exit_code=10)


def killed_while_promoting(commands: Commands, monkeypatch: pytest.MonkeyPatch, where: str) -> int:
    """Promote in a process that is killed before, or after, one of the steps; returns the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        dead = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731 - in a process of its own
        original: Any = choosing.replace_private

        def then_dead(*arguments: Any) -> None:
            original(*arguments)
            dead()

        match where:
            case "before the trail":
                recording.ModelPromoted = dead
            case "before the history":
                History.add = dead  # type: ignore[method-assign,assignment]
            case "before the settings":
                choosing.replace_private = dead
            case "after the settings":
                choosing.replace_private = then_dead
        commands("models", "promote", "other-model", "--force", *REASON)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("where", "model"),
    [
        ("before the trail", "small-model"),
        ("before the history", "small-model"),
        ("before the settings", "small-model"),
        ("after the settings", "other-model"),
    ],
)
def test_killed_at_any_step_it_is_the_old_model_or_the_new_one(
    ready: Commands, monkeypatch: pytest.MonkeyPatch, where: str, model: str
) -> None:
    assert killed_while_promoting(ready, monkeypatch, where) == -signal.SIGKILL
    assert in_use(ready) == model
    ready.succeed("audit", "verify")
    if model == "other-model":
        assert "model:promoted" in kinds_in(ready.home)
        ready.succeed("models", "rollback")
        assert in_use(ready) == "small-model"
    else:
        # What the history says of a change that did not happen is not followed, and it can be made now.
        ready.succeed("models", "promote", "other-model", "--force", *REASON)
        assert in_use(ready) == "other-model"


def test_the_list_says_versions_scores_and_the_trial(ready: Commands, questions: str) -> None:
    report = measure(ready, questions, "small-model", "other-model")
    file = ready.home / "muniment.toml"
    text = (
        file.read_text()
        .replace('# model = ""', 'model = "other-model"')
        .replace('# mode = "shadow"', 'mode = "canary"')
    )
    file.write_text(text)
    listed = {one["id"]: one for one in ready.json("models", "list")}
    other = listed["other-model"]
    assert other["sha256"] == report["answers"][1]["sha256"]
    assert (other["report"]["id"], other["report"]["right"]) == (report["id"], 0.5)
    assert other["trial"] == "canary with 10%"
    assert "other-model is on trial" in ready("doctor").output
    ready.succeed("models", "rollback", "--reason", "People complain.")
    assert "given up" in {one["id"]: one for one in ready.json("models", "list")}["other-model"]["trial"]
    assert "People complain" in ready.succeed("models", "list")
    assert "was given up" in ready("doctor").output
    assert in_use(ready) == "small-model"
