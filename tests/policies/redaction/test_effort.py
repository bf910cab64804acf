"""T11: prose of any kind is read within the limit, hostile text is read or refused, and work grows with the text.

Counted is the processor time of the process that reads, which is what its limit counts.
"""

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from string import ascii_lowercase

import pytest

from policies.errors import RedactionFailedError
from policies.redaction.isolated import IsolatedRedactor
from policies.redaction.options import RedactionOptions
from tests.policies.redaction.effort_texts import HOSTILE, PROSE

pytestmark = pytest.mark.models

BLOCK_CHARS = 65_536
FEW_CHARS = 4_096
TIMES = 4
MOST_GROWTH = 2 * TIMES
"""Linear work grows by half of it, quadratic work by twice as much."""
LITTLE_S = 0.05
"""Work that is done so soon tells nothing."""
ALL = PROSE | HOSTILE


@pytest.fixture(scope="module")
def reader(recogniser_model: Path, russian_model: Path) -> Iterator[IsolatedRedactor]:
    made = IsolatedRedactor(recogniser_model, russian_model, RedactionOptions(workers=1))
    yield made
    made.close()


def processor_time(redactor: IsolatedRedactor) -> float:
    """What the process has used so far, by the clock that Linux keeps for each process."""
    redactor.load()
    (process,) = redactor._idle
    return time.clock_gettime(~process.pid << 3 | 2)


def effort(redactor: IsolatedRedactor, text: str) -> float:
    """The seconds that a text takes, or infinitely many where it was refused."""
    began = processor_time(redactor)
    try:
        redactor.find(text)
    except RedactionFailedError:
        return float("inf")
    return processor_time(redactor) - began


def growth(work: Callable[[int], float], few: int = FEW_CHARS) -> float:
    """How many times as much work more text is; the best of two counts, since other programs share the caches."""
    many = min(work(TIMES * few) for _ in range(2))
    return 0 if many < LITTLE_S else many / min(work(few) for _ in range(2))


@pytest.mark.parametrize("kind", PROSE)
def test_prose_is_never_refused(reader: IsolatedRedactor, kind: str) -> None:
    reader.find(PROSE[kind](BLOCK_CHARS))


def read_or_refuse(reader: IsolatedRedactor, text: str) -> None:
    with contextlib.suppress(RedactionFailedError):
        reader.find(text)
    assert len(reader.find("Alan Turing")) == 1


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_is_read_or_refused(reader: IsolatedRedactor, kind: str) -> None:
    read_or_refuse(reader, HOSTILE[kind](TIMES * FEW_CHARS))


@pytest.mark.deep
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_megabyte_of_hostile_text_is_read_or_refused(reader: IsolatedRedactor, kind: str) -> None:
    read_or_refuse(reader, HOSTILE[kind](1_000_000))


@pytest.mark.parametrize("kind", [kind for kind in ALL if not kind.startswith(("one", "again"))])
def test_the_work_grows_with_the_text(reader: IsolatedRedactor, kind: str) -> None:
    assert growth(lambda chars: effort(reader, ALL[kind](chars))) < MOST_GROWTH


@pytest.mark.deep
@pytest.mark.parametrize("kind", ALL)
def test_the_work_grows_with_much_text_of_every_kind(reader: IsolatedRedactor, kind: str) -> None:
    assert growth(lambda chars: effort(reader, ALL[kind](chars)), BLOCK_CHARS // TIMES) < MOST_GROWTH


def never_seen(draw: random.Random) -> str:
    """A block in which hardly a word was seen before, in two alphabets, with numbers."""

    def word(letters: str) -> str:
        return "".join(draw.choices(letters, k=draw.randint(6, 9)))

    def sentence() -> str:
        latin, cyrillic = word(ascii_lowercase), word("абвгдежзиклмнопрстуя")
        numbers = f"{draw.randrange(10**9)} {latin}@{word(ascii_lowercase)}.example.org"
        name = word(ascii_lowercase).title()
        return f"{name} told {latin} that {word(ascii_lowercase)} is {numbers}. {cyrillic.title()}. "

    return "".join(sentence() for _ in range(BLOCK_CHARS // 70))[:BLOCK_CHARS]


def memory_bytes(redactor: IsolatedRedactor) -> int:
    """What of the process is in memory."""
    pages = Path(f"/proc/{redactor._idle[0].pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


@pytest.mark.deep
@pytest.mark.timeout(3_600)
def test_memory_stays_flat_however_much_is_read(reader: IsolatedRedactor) -> None:
    """Fifty million characters of words that come once; what is kept of them has a limit, which is reached soon."""
    draw, seen = random.Random(50), []
    for _ in range(50_000_000 // BLOCK_CHARS):
        reader.find(never_seen(draw))
        seen.append(memory_bytes(reader))
    filled = max(seen[: len(seen) // 5])
    print([size // 1_000_000 for size in seen[::40]])  # noqa: T201 - for whoever runs it with -s
    assert max(seen) < filled + 20_000_000


def test_work_that_grows_with_the_square_is_noticed() -> None:
    """Negative control."""

    def squared(chars: int) -> float:
        began = time.process_time()
        sum(1 for _ in range((chars // 4) ** 2))
        return time.process_time() - began

    assert growth(squared) > MOST_GROWTH


def test_prose_that_takes_more_than_the_limit_would_be_refused(
    reader: IsolatedRedactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control."""
    monkeypatch.setattr(reader, "_cpu_seconds", 0.01)
    with pytest.raises(RedactionFailedError, match="processor time"):
        reader.find(PROSE["English, full of names"](BLOCK_CHARS))
