"""One request at a time: what goes wrong with one is told to its asker, and the next is served."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from models.engine import Generation, Speaker, Turn
from models.llama.native import Model, NativeError
from models.llama.protocol import Fault, FromWorker, Generate, Piece, Refused
from models.llama.scheduler import Scheduler

_END = 0
_TURNS = (Turn(Speaker.SYSTEM, ("s",)), Turn(Speaker.USER, ("q",)))


class FaultyModel:
    """Fails in a chosen way while it is told to, and otherwise ends each answer at once."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.held: dict[int, int] = {}
        self.vocabulary = SimpleNamespace(ends=lambda token: token == _END, pieces=[b""] * 8)

    def cut(self, sequence: int, length: int) -> None:
        self.held[sequence] = length

    def copy(self, source: int, target: int, length: int) -> None:
        assert self.held.get(source, 0) >= length
        self.held[target] = length

    def decode(self, sequence: int, tokens: list[int], position: int) -> Any:
        assert self.held.get(sequence, 0) == position
        if self.fault is not None:
            raise self.fault
        self.held[sequence] = position + len(tokens)
        return np.eye(1, 8, _END, dtype=np.float32)[0]


def run(scheduler: Scheduler) -> list[FromWorker]:
    said: list[FromWorker] = []
    while not scheduler.idle:
        said += scheduler.step()
    return said


@pytest.mark.parametrize("fault", [NativeError("no memory"), ValueError("the secret prompt"), MemoryError()])
@pytest.mark.parametrize("where", ["decode", "assemble"])
def test_a_failed_request_fails_alone(fault: Exception, where: str) -> None:
    model = FaultyModel()
    broken: list[Exception] = []

    def assemble(_turns: tuple[Turn, ...]) -> list[int]:
        if broken:
            raise broken[0]
        return [1, 2, 3]

    scheduler = Scheduler(cast("Model", model), assemble, context_tokens=64, sequences=2)
    if where == "decode":
        model.fault = fault
    else:
        broken.append(KeyError("the secret prompt"))
    scheduler.submit(Generate(1, Generation(_TURNS, "a", max_tokens=4)))
    (refused,) = run(scheduler)
    assert isinstance(refused, Refused)
    assert refused.fault is Fault.FAILED
    assert "secret" not in refused.text

    model.fault = None
    broken.clear()
    scheduler.submit(Generate(2, Generation(_TURNS, "a", max_tokens=4)))
    (piece,) = run(scheduler)
    assert isinstance(piece, Piece)
    assert piece.chunk.cached_tokens == 0, "what a failed request left behind is not built upon"
