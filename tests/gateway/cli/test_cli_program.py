"""The command line as a whole: help, errors, exit codes, and what is shown of hostile text."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from gateway.cli import failures, output
from gateway.cli.program import _home_first, app
from tests.gateway.cli.commands import Commands

COMMAND = [sys.executable, "-m", "gateway.cli"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A real process, without a home of the person who runs the tests."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("MUNIMENT_HOME")} | environment
    return subprocess.run([*COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=120, check=False)


def test_help_names_every_command_of_the_design() -> None:
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in ("init", "serve", "ask", "search", "sources", "sync", "models", "users", "keys", "audit", "policy"):
        assert command in result.stdout
    for command in ("redact", "index", "eval", "doctor"):
        assert command in result.stdout


def command_lines() -> list[str]:
    """Every command with its group, as typed."""
    top = get_command(app)
    assert isinstance(top, TyperGroup)
    names = []
    for name, command in top.commands.items():
        inner = command.commands if isinstance(command, TyperGroup) else {"": command}
        names += [f"{name} {each}".strip() for each in inner]
    return names


def test_every_command_is_documented_and_has_help() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert len(command_lines()) > 20
    assert [name for name in command_lines() if f"`{name}" not in page] == []
    for name in command_lines():
        assert CliRunner().invoke(app, [*name.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["models", "list", "--json"], ["--version"]])
def test_an_output_that_nobody_reads_is_no_finding(arguments: list[str]) -> None:
    """`muniment audit verify | head` must not end with 1, which would say that the trail was altered."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (failures.UNREAD, "")


def test_help_loads_nothing_heavy() -> None:
    """Help takes 0.3 s of processor time; with torch, spaCy or FAISS imported it would be seconds."""
    heavy = (
        "torch",
        "spacy",
        "faiss",
        "sentence_transformers",
        "presidio_analyzer",
        "litestar",
        "llama_cpp",
        "sqlmodel",
    )
    code = (
        "import sys\nfrom gateway.cli.program import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout.startswith("muniment 0.")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["search", "q", "--home", "h", "--as", "a"], ["--home", "h", "search", "q", "--as", "a"]),
        (["search", "q", "--home=h"], ["--home=h", "search", "q"]),
        (["search", "--as", "a", "--", "--home", "h"], ["search", "--as", "a", "--", "--home", "h"]),
        (["search", "q"], ["search", "q"]),
    ],
)
def test_home_may_stand_anywhere_before_a_double_dash(given: list[str], expected: list[str]) -> None:
    assert _home_first(given) == expected


def test_no_home_is_one_sentence_with_what_to_do(tmp_path: Path) -> None:
    done = run("search", "anything", "--as", "ada", "--home", str(tmp_path / "none"))
    assert done.returncode == 10
    assert done.stdout == ""
    assert done.stderr.strip() == (
        f"There is no Muniment home at {tmp_path / 'none'}. Run `muniment init`, or name another with --home."
    )


def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path) -> None:
    done = run("users", "list", "--json", MUNIMENT_HOME=str(tmp_path / "none"))
    assert done.returncode == 10
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "home_missing"
    assert error["message"] == done.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "No such command"),
        (["serach"], "search"),
        (["search", "question"], "--as"),
        (["search", "question", "--as", "a", "-k", "many"], "--limit"),
        (["eval", "run"], "--help"),
    ],
)
def test_wrong_usage_is_one_sentence(arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unforeseen_error_tells_its_place_and_not_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        message = "Passage: the salary of Ada Brandt is 100"
        raise ValueError(message)

    assert failures.run_guarded(fail, as_json=False) == failures.DEFECT
    said = capsys.readouterr()
    assert "ValueError at test_cli_program.py:" in said.err
    assert "Ada Brandt" not in said.err + said.out
    assert "Traceback" not in said.err


def test_an_interrupt_is_no_error_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert failures.run_guarded(interrupted, as_json=False) == 130
    assert "Interrupted" in capsys.readouterr().err


def test_ctrl_c_ends_a_real_command_cleanly(tmp_path: Path) -> None:
    """`redact` waits for its standard input, which is when the signal comes."""
    code = (
        # Shells start background jobs with this signal ignored, and children inherit that.
        "import signal, sys, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from gateway.cli import redact\n"
        "def wait(file):\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "redact._read = wait\nfrom gateway.cli.program import main\nsys.argv[1:] = ['redact']\nmain()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip() == "Interrupted. What was finished stands."


def test_a_reader_that_goes_away_is_no_error() -> None:
    """As in `muniment --help | head -1`."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"{sys.executable} -m gateway.cli models list | true; echo done"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={key: value for key, value in os.environ.items() if key != "MUNIMENT_HOME"} | {"HOME": "/nonexistent"},
    )
    assert done.stdout == "done\n"
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


HOSTILE = "\x1b[2J\x1b]0;title\x07red\x9b31m \u202eevil\u2066 tab\there\nline"


def test_what_a_terminal_would_obey_is_made_harmless() -> None:
    shown = output.printable(HOSTILE)
    assert "\x1b" not in shown
    assert "\x9b" not in shown
    assert "\u202e" not in shown
    assert "\u2066" not in shown
    assert shown.endswith("tab\there\nline")


def test_results_tables_and_json_pass_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(HOSTILE)
    output.tell(HOSTILE)
    output.show_table(("a",), [(HOSTILE,)], empty="")
    output.show_json({"text": HOSTILE})
    said = capsys.readouterr()
    assert not output._CONTROLS.search(said.out + said.err)


def test_the_check_for_control_characters_can_fail(capsys: pytest.CaptureFixture[str]) -> None:
    """Negative control: printing as it stands is caught by the check above."""
    sys.stdout.write(HOSTILE)
    assert output._CONTROLS.search(capsys.readouterr().out)


def test_json_says_the_very_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_json({"text": HOSTILE, "name": "Zoë"})
    printed = capsys.readouterr().out
    assert json.loads(printed) == {"text": HOSTILE, "name": "Zoë"}
    assert "Zoë" in printed


def test_markup_in_documents_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    output.show("[bold]not bold[/bold] :smile: [link=http://x.example]x[/link]")
    assert capsys.readouterr().out.strip() == "[bold]not bold[/bold] :smile: [link=http://x.example]x[/link]"


def test_long_text_is_not_broken_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    output.show("word " * 100)
    assert len(capsys.readouterr().out.strip().splitlines()) == 1


@pytest.mark.parametrize("arguments", [("ask", "a\udcff", "--as", "alice"), ("search", "x", "--as", "\udcff")])
def test_bytes_that_are_no_text_are_refused_in_one_sentence(commands: Commands, arguments: tuple[str, ...]) -> None:
    """As a terminal set to another encoding sends them; the trail could not hold even a digest of it."""
    assert "not valid UTF-8" in commands.fail(*arguments, exit_code=2)
