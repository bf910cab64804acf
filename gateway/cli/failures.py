"""How a command fails: one sentence, an exit code that scripts can rely on, and no traceback for errors of ours."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import typer

from gateway.cli.output import show_json, tell
from gateway.errors import translate

INTERRUPTED = 130
"""What a shell reports of a process that SIGINT ended."""
UNREAD = 141
"""What a shell reports of a process that SIGPIPE ended: whoever read the output had enough of it."""
DEFECT = 70
"""EX_SOFTWARE of sysexits.h: an error that none of ours describes."""
_SHOW_TRACEBACK = "MUNIMENT_TRACEBACK"


def run_guarded(command: Callable[[], object], *, as_json: bool) -> int:
    """Run a command and return its exit code; whatever goes wrong is told in one sentence."""
    try:
        code = _flushed(command)
    except typer.Exit as error:
        return error.exit_code
    except typer.TyperException as error:
        return _report_usage(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        return _end_unread()
    except Exception as error:  # noqa: BLE001 - the last place that can turn an error into a sentence
        return _report_error(error, as_json=as_json)
    if code == INTERRUPTED:  # Typer turns the interrupt into this code where it sees it first.
        return _report(INTERRUPTED, "interrupted", "Interrupted. What was finished stands.", as_json=as_json)
    return code if isinstance(code, int) else 0


def _flushed(command: Callable[[], object]) -> object:
    """Run a command to the end of its output: that nobody reads it shows only when it is written.

    Raises:
        BrokenPipeError: Nobody reads it. Typer and Rich would end with 1 then, which can mean something here.
    """
    try:
        return command()
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):
            raise error.__context__ from error
        raise
    finally:
        sys.stdout.flush()


def _end_unread() -> int:
    """Throw away what is still to be written, or the interpreter would complain of it while it ends."""
    sys.stdout = sys.__stdout__ or sys.stdout
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return UNREAD


def _report_usage(error: typer.TyperException, *, as_json: bool) -> int:
    """What is wrong with the command line; a group without a command has printed its help already."""
    said = " ".join(error.format_message().split())
    if not said:
        return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f" See `{context.command_path} --help`." if context is not None else ""
    return _report(error.exit_code, "usage", f"{said.rstrip('.')}.{hint}", as_json=as_json)


def _report_error(error: Exception, *, as_json: bool) -> int:
    translation = translate(error)
    if translation is not None:
        return _report(translation.exit_code, translation.code, str(error), as_json=as_json)
    if os.environ.get(_SHOW_TRACEBACK):
        traceback.print_exception(error)
    return _report(DEFECT, "defect", _defect(error), as_json=as_json)


def _defect(error: Exception) -> str:
    """What is said of an unforeseen error: its kind and place, not its text, which may hold document text."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return (
        f"Muniment failed in a way it does not know: {type(error).__name__}{place}. "
        f"Run `muniment doctor`; with {_SHOW_TRACEBACK}=1 set, the command shows where. Please report it."
    )


def _report(exit_code: int, code: str, message: str, *, as_json: bool) -> int:
    tell(message, style="red")
    if as_json:
        show_json({"error": {"code": code, "message": message}})
    return exit_code
