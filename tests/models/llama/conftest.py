"""The small model, as tests use it."""

import ctypes
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import llama_cpp
import pytest
import pytest_asyncio

from models.catalogue import Artefact, Kind, load_catalogue
from models.engine import Speaker, Turn
from models.llama.engine import LlamaEngine, WorkerOptions
from models.llama.native import quiet
from models.llama.vocabulary import Vocabulary

SMALL = "qwen2.5-coder-0.5b-instruct-q4_k_m"
OPTIONS = WorkerOptions(restart=(0.05, 0.5))


def conversation(*passages: str, question: str) -> tuple[Turn, ...]:
    system = Turn(Speaker.SYSTEM, ("Answer in a few words from the passages.",))
    return (system, Turn(Speaker.USER, (*passages, f"\nQuestion: {question}")))


@pytest.fixture(scope="session")
def artefact() -> Artefact:
    return load_catalogue().artefact(SMALL)


@pytest.fixture(scope="session")
def model_file(model_path: Callable[[str], Path]) -> Path:
    return model_path(SMALL)


@pytest.fixture(scope="session")
def vocabulary(model_file: Path) -> Iterator[Vocabulary]:
    """The real vocabulary of the small model, without the weights."""
    yield from opened_vocabulary(model_file)


@pytest.fixture(scope="session", params=[SMALL, load_catalogue().defaults[Kind.GENERATOR]])
def each_vocabulary(request: pytest.FixtureRequest, model_path: Callable[[str], Path]) -> Iterator[Vocabulary]:
    """The vocabulary of each model that an installation is made with."""
    yield from opened_vocabulary(model_path(request.param))


def opened_vocabulary(model_file: Path) -> Iterator[Vocabulary]:
    quiet(4)
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    model = llama_cpp.llama_model_load_from_file(str(model_file).encode(), params)
    yield Vocabulary(model)
    llama_cpp.llama_model_free(model)
    llama_cpp.llama_log_set(llama_cpp.llama_log_callback(0), ctypes.c_void_p(0))


def make_engine(model_file: Path, artefact: Artefact, context_tokens: int = 512) -> LlamaEngine:
    # One thread: tests share the machine, and threads that wait for each other suffer most from that.
    return LlamaEngine(lambda: model_file, artefact=artefact, context_tokens=context_tokens, threads=1, options=OPTIONS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(model_file: Path, artefact: Artefact) -> AsyncIterator[LlamaEngine]:
    """A running engine, shared by the tests of a module."""
    running = make_engine(model_file, artefact)
    await running.start()
    yield running
    await running.stop()
