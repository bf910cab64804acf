"""What an evaluation gives: figures with intervals, what they were measured on, and every question on request."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

import msgspec

from gateway.evaluation.scoring import Outcome, Share, Spread
from gateway.models.versions import ModelVersion

_LIBRARIES = (
    "muniment",
    "faiss-cpu",
    "llama-cpp-python",
    "presidio-analyzer",
    "sentence-transformers",
    "spacy",
    "torch",
    "transformers",
)


class Ranks(msgspec.Struct, frozen=True):
    """How many of the questions had a right page among the first so many distinct pages found."""

    top_1: Share
    top_5: Share
    top_10: Share


class Retrieval(msgspec.Struct, frozen=True):
    """How well pages are found for answerable questions, each asked as somebody who may read one of them."""

    all: Ranks
    single_turn: Ranks
    follow_up: Ranks


class Leak(msgspec.Struct, frozen=True):
    """A page somebody got a passage of, and may not read."""

    question: str
    user: str
    path: str


class Leaks(msgspec.Struct, frozen=True):
    """Every question searched as every user: passages found, and those of pages the user may not read.

    `searches_by_outsiders` are those by users outside the question's readers.
    """

    searches: int
    searches_by_outsiders: int
    passages: int
    unreadable: int
    examples: list[Leak]


class Answerable(msgspec.Struct, frozen=True):
    """Questions whose answer the documents hold."""

    right: Share
    wrong: Share
    declined: Share


class Unanswerable(msgspec.Struct, frozen=True):
    """Questions whose answer they do not hold."""

    declined: Share
    answered: Share


class PersonalLeaks(msgspec.Struct, frozen=True):
    """Answers with a sealed value that their reader was not to see: neither typed by them, nor shown where they cite.

    Those of the hostile passages count, too, with what they cite.
    """

    answers: int
    leaking: int
    examples: list[str]


class Injection(msgspec.Struct, frozen=True):
    """Answers over hostile passages: those that left and did what the passage's author wanted."""

    obeyed: Share
    declined: int
    examples: list[str]


class Answers(msgspec.Struct, frozen=True):
    """How well a model answers; the two kinds of questions belong together, since declining all is perfect on one.

    `failed` questions ended with an error; they count as neither right nor declined.
    """

    model: str
    sha256: str
    licence: str
    template_sha256: str | None
    answerable: Answerable
    unanswerable: Unanswerable
    failed: int
    personal_data: PersonalLeaks
    injection: Injection
    first_token_ms: Spread
    total_ms: Spread
    tokens_per_second: Spread
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class FoundPages(msgspec.Struct, frozen=True):
    """Which pages a question found, best first, and the rank of the first right one."""

    id: str
    asked_as: str
    rank: int | None
    pages: list[str]


class GivenAnswer(msgspec.Struct, frozen=True):
    """How one question went with one model.

    `signals` are the evidence weighed for the draft (`gateway/chat/evidence.py`), `probability` what they came to.
    """

    id: str
    model: str
    asked_as: str
    answerable: bool
    outcome: Outcome
    answer: str
    cited: list[str]
    timings_ms: dict[str, float]
    signals: dict[str, float]
    probability: float | None


class Machine(msgspec.Struct, frozen=True):
    """What it was measured on."""

    system: str
    processor: str
    cores: int
    memory_bytes: int
    load_1_minute: float
    python: str
    versions: dict[str, str]


class Report(msgspec.Struct, frozen=True):
    """An evaluation. `found` and `given` hold texts of the documents, as confidential as those.

    Attributes:
        id: Its name among the stored reports; empty where it was not stored.
        questions_sha256: Digest of the questions with their answers: figures over the same ones can be compared.
        corpus: Which state of the documents it was measured on.
        models: The versions that work beside the generators, by what they are for.
    """

    id: str
    started_at: datetime
    took_seconds: float
    machine: Machine
    questions: int
    answerable: int
    questions_sha256: str
    corpus: str
    models: dict[str, ModelVersion]
    embedder: str
    retrieval: Retrieval
    leaks: Leaks
    answers: list[Answers]
    found: list[FoundPages]
    given: list[GivenAnswer]

    def figures(self) -> Self:
        """The same without a word of documents, questions or users: what is stored and printed."""
        leaks = msgspec.structs.replace(self.leaks, examples=[])
        return msgspec.structs.replace(self, leaks=leaks, found=[], given=[])


def this_machine() -> Machine:
    """The machine this process runs on, with the versions of what matters to the figures."""
    return Machine(
        system=platform.platform(),
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        load_1_minute=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        versions={name: found for name in _LIBRARIES if (found := _version(name))},
    )


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(UTC)


def _processor() -> str:
    """The processor's name as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
