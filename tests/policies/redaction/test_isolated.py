"""A text that breaks the process that reads it is refused, never passed through; the next is read as before."""

import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from policies import isolated
from policies.errors import RedactionFailedError
from policies.personal_data import SiteType, Span
from policies.redaction.engine import MAX_TEXT_CHARS, Redactor
from policies.redaction.isolated import IsolatedRedactor
from policies.redaction.options import RedactionOptions, TypeOptions
from policies.redaction.segments import segments
from policies.redaction.site import read_site
from tests.fakes import recognising_process
from tests.fakes.recognising_process import FAULTS, SECRET
from tests.policies.redaction.test_engine import CANARIES

QUICK = RedactionOptions(workers=1, cpu_seconds=0.1)
"""A process that hangs is given up after a second and a half."""


class Falling(IsolatedRedactor):
    """With processes that fall over when a text tells them to; everything on this side is the product's."""

    def __init__(self, options: RedactionOptions = QUICK) -> None:
        super().__init__(Path("/nowhere"), options=options)

    def _start(self) -> isolated.Process:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", recognising_process.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == isolated.READY
        return process


@pytest.fixture
def falling() -> Iterator[Falling]:
    redactor = Falling()
    yield redactor
    redactor.close()


def passed_through(redactor: IsolatedRedactor, fault: str, find: Callable[[str], list[Span]]) -> bool:
    """Whether anything at all came back for a text that broke its process; the next must be read."""
    said = None
    try:
        find(f"{fault}| {SECRET} wrote it.")
    except RedactionFailedError as error:
        said = str(error)
    (found,) = redactor.find(f"We asked {SECRET}.")
    assert found.start == len("We asked ")
    return said is None or SECRET in said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_refused_and_the_next_text_is_read(falling: Falling, fault: str) -> None:
    assert not passed_through(falling, fault, falling.find)
    assert not passed_through(falling, fault, falling.scanner().find)


@pytest.mark.deep
def test_a_thousand_faults_pass_nothing_through() -> None:
    """T11. Those that only time ends are fewer."""
    redactor = Falling(RedactionOptions(workers=2, cpu_seconds=0.02))
    drawn = random.Random(11)
    slow = [fault for fault in FAULTS if fault.startswith(("hung", "stopped", "deaf"))]
    faults = drawn.choices([fault for fault in FAULTS if fault not in slow], k=950) + drawn.choices(slow, k=50)
    drawn.shuffle(faults)
    assert [fault for fault in faults if passed_through(redactor, fault, redactor.find)] == []
    redactor.close()


def test_a_guard_that_gives_back_what_there_is_is_noticed(falling: Falling) -> None:
    """Negative control: a pool that takes no answer for nothing found."""

    def open_guard(text: str) -> list[Span]:
        try:
            return falling.find(text)
        except RedactionFailedError:
            return []  # This is the mistake.

    assert passed_through(falling, "crashed", open_guard)


def test_a_process_killed_between_two_texts_costs_none(falling: Falling) -> None:
    falling.load()
    for _ in range(5):
        falling._idle[0].kill()
        falling._idle[0].wait()
        assert len(falling.find(SECRET)) == 1


def test_a_process_killed_at_any_moment_gives_all_or_nothing() -> None:
    redactor = Falling(RedactionOptions(workers=2))
    over = threading.Event()

    def kill() -> None:
        drawn = random.Random(5)
        while not over.wait(drawn.random() / 200):
            for process in list(redactor._idle):
                process.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    outcomes = []
    for _ in range(100):
        try:
            outcomes.append(len(redactor.find(SECRET)))
        except RedactionFailedError:
            outcomes.append(None)
    over.set()
    killer.join()
    redactor.close()
    assert set(outcomes) <= {1, None}
    assert 1 in outcomes


def test_a_question_does_not_wait_for_long_texts() -> None:
    redactor = Falling(RedactionOptions(workers=2, cpu_seconds=0.3))
    long = "hung|" + "x" * 70_000
    threads = [threading.Thread(target=lambda: refused(redactor, long)) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    began = time.monotonic()
    assert len(redactor.find(SECRET)) == 1
    assert time.monotonic() - began < 5
    assert any(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    redactor.close()


def refused(redactor: IsolatedRedactor, text: str) -> None:
    with pytest.raises(RedactionFailedError):
        redactor.find(text)


def test_no_process_remains(falling: Falling) -> None:
    for fault in ("hung", "noise", "killed before"):
        refused(falling, f"{fault}|")
    falling.find("All is well.")
    (last,) = falling._idle
    falling.close()
    assert last.poll() is not None
    assert falling._idle == []


def test_without_a_model_nothing_is_read(tmp_path: Path) -> None:
    redactor = IsolatedRedactor(tmp_path / "missing")
    with pytest.raises(RedactionFailedError, match="Pull it again"):
        redactor.load()
    refused(redactor, "text")
    with pytest.raises(RedactionFailedError):
        redactor.scanner().find("text")


@pytest.fixture(scope="module")
def real(recogniser_model: Path, russian_model: Path) -> Iterator[IsolatedRedactor]:
    made = IsolatedRedactor(recogniser_model, russian_model, RedactionOptions(clear_words=("Sourcewell",), workers=1))
    yield made
    made.close()


def test_what_a_site_calls_confidential_is_in_no_list_of_processes(real: IsolatedRedactor) -> None:
    real.load()
    (process,) = real._idle
    assert "Sourcewell" not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert real.find("Sourcewell called.") == []


HOSTILE = [
    "<div>" * 3_000,
    "a at b dot c " * 200,
    "\u0410a\u0392b " * 500,
    "\ud800 alan@example.org",
    "\x00\x01\x02 Alan Turing",
    "\U0010ffff" * 500,
    "mail gr\u00fc\u00dfe@b\u00fccher.de, \u4f8b\u3048@\u4f8b\u3048.jp or a@xn--bcher-kva.example",
    "+49 30 901820, +81 3-3224-5000, +7 495 123-45-67, +55 11 91234-5678, +886 2 2345 6789, +27 21 123 4567",
    "\u0391\u03bb\u03ad\u03be\u03b1\u03bd\u03b4\u03c1\u03bf\u03c2 \u4eca\u65e5 \u0645\u0631\u062d\u0628\u0627",
]


@pytest.mark.models
def test_it_finds_what_the_engine_finds(real: IsolatedRedactor, redactor: Redactor) -> None:
    texts = [*HOSTILE, *(f"{canary} for Maria Gomez of Sourcewell." for canary in CANARIES.values()), "", " \n"]
    assert real.find_many(texts) == redactor.find_many(texts)
    assert real.recognise(texts) == redactor.recognise(texts)
    whole = " ".join(texts[len(HOSTILE) :])
    there, here = real.scanner(), redactor.scanner()
    cut = [whole[start:end] for start, end in segments(whole)]
    assert [there.find(segment) for segment in cut] == [here.find(segment) for segment in cut]


@pytest.mark.models
def test_it_has_no_secrets_files_or_network(real: IsolatedRedactor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUNIMENT_HOME", "/srv/secret")
    real.load()
    assert "MUNIMENT_HOME" not in isolated.environment()
    status = Path(f"/proc/{real._idle[0].pid}/status").read_text(encoding="ascii")
    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    limits = Path(f"/proc/{real._idle[0].pid}/limits").read_text(encoding="ascii")
    assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["3", "3"]]
    assert "torch" not in Path(f"/proc/{real._idle[0].pid}/maps").read_text(encoding="utf-8", errors="replace")


@pytest.mark.models
def test_files_of_words_are_read_once(recogniser_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "codenames.txt"
    file.write_text("Bluebird\nNight Jar\n", encoding="utf-8")
    options = RedactionOptions(types=(TypeOptions("CODE_NAME", words_file=file.name),), workers=1)
    site = read_site(options, tmp_path)
    file.unlink()
    redactor = IsolatedRedactor(recogniser_model, None, options, site)
    assert [(span.start, span.type) for span in redactor.find("See Night Jar.")] == [(4, SiteType("CODE_NAME"))]
    redactor.close()
    assert site.told.types[0] == TypeOptions("CODE_NAME", words=("Bluebird", "Night Jar"))


@pytest.mark.models
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_real_process_that_is_ended_passes_nothing_through(real: IsolatedRedactor, number: signal.Signals) -> None:
    real.load()
    ending = threading.Timer(0.05, os.kill, (real._idle[0].pid, number))
    ending.start()
    refused(real, "Alan Turing met Maria Gomez at 742 Evergreen Terrace, Springfield. " * 15_000)
    assert len(real.find("Alan Turing")) == 1


@pytest.mark.models
def test_what_takes_too_long_is_refused(real: IsolatedRedactor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real, "_cpu_seconds", 0.01)
    with pytest.raises(RedactionFailedError, match=r"0\.01 s of processor time"):
        real.find("12 Main St, " * 5_000)
    monkeypatch.undo()
    assert len(real.find("Alan Turing")) == 1


@pytest.mark.models
def test_what_takes_too_much_memory_is_refused(real: IsolatedRedactor) -> None:
    real.load()
    pid = real._idle[0].pid
    size = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (size + 1_000_000, size + 1_000_000))
    refused(real, "Xq Zolk met Bz Qolm. " * 20_000)
    real.close()
    assert len(real.find("Alan Turing")) == 1


@pytest.mark.models
@pytest.mark.parametrize("character", ["a", "1", "\n", ".", "\u4e00", "@", "\u200b", "<"])
def test_a_megabyte_of_one_character_is_read_or_refused(real: IsolatedRedactor, character: str) -> None:
    with contextlib.suppress(RedactionFailedError):
        real.find(character * 1_000_000)
    assert len(real.find("Alan Turing")) == 1


def test_too_long_a_text_is_refused_before_it_travels(falling: Falling) -> None:
    with pytest.raises(RedactionFailedError, match="too long"):
        falling.find("x" * (MAX_TEXT_CHARS + 1))
    assert falling._idle == []
