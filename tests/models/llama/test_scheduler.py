"""Many requests at a time: words first, prompts beside them, shared beginnings computed once, and each fails alone."""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import cast

import pytest

from models.engine import Choice, Chunk, FinishReason, Generation, Speaker, Turn
from models.llama.native import Model, NativeError, Slice
from models.llama.prefixes import Domains
from models.llama.protocol import Ask, Fault, FromWorker, Generate, Piece, Refused, RefusedError, Weighed
from models.llama.scheduler import Scheduler
from models.llama.templates import Segment
from tests.models.llama.cells import END, Cells


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Engine:
    """A scheduler over cells, and what it has said so far."""

    def __init__(self, cells: Cells | None = None, *, at_once: int = 8, context_tokens: int = 4096) -> None:
        self.cells = cells or Cells()
        self.clock = Clock()
        self.scheduler = Scheduler(
            cast("Model", self.cells),
            letters,
            context_tokens=context_tokens,
            cells=self.cells.count,
            at_once=at_once,
            sequences=at_once + 8,
            clock=self.clock,
        )
        self.said: dict[int, list[FromWorker]] = defaultdict(list)

    def ask(self, id_: int, prompt: str, domain: str = "a", shared: str = "", max_tokens: int = 8) -> None:
        turns = (Turn(Speaker.USER, (prompt,), (shared,) if shared else ()),)
        self.submit(Generate(id_, Generation(turns, domain, max_tokens=max_tokens)))

    def submit(self, request: Generate | Ask) -> None:
        self.scheduler.submit(self.scheduler.prepare(request))

    def step(self) -> None:
        for message in self.scheduler.step():
            self.said[message.id].append(message)

    def run(self, most: int = 10_000) -> None:
        for _ in range(most):
            if self.scheduler.idle:
                return
            self.step()
        pytest.fail("it never ends")

    def cancel(self, id_: int) -> None:
        for message in self.scheduler.cancel(id_):
            self.said[message.id].append(message)

    def chunk(self, id_: int) -> Chunk:
        """The last chunk of an answer that has ended."""
        last = self.said[id_][-1]
        assert isinstance(last, Piece), last
        assert last.chunk.finish is not None
        return last.chunk

    def text(self, id_: int) -> str:
        return "".join(piece.chunk.text for piece in self.said[id_] if isinstance(piece, Piece))


def letters(turns: Sequence[Turn]) -> list[Segment]:
    """Each letter a token, and a full stop that belongs to the request."""
    segments = []
    for turn in turns:
        domains = [*turn.shared, *[""] * (len(turn.parts) - len(turn.shared))]
        segments += [
            (domain, [ord(letter) for letter in part]) for domain, part in zip(domains, turn.parts, strict=True)
        ]
    return [*segments, ("", [ord(".")])]


def counting(tokens: list[int]) -> int:
    """After a full stop the letters from a to e, then the end."""
    written = len(tokens) - 1 - max(place for place, token in enumerate(tokens) if token == ord("."))
    return ord("a") + written if written < 5 else END


def rows(step: list[Slice]) -> list[int]:
    return [len(each.tokens) for each in step]


def test_answers_are_written_together() -> None:
    engine = Engine(Cells(says=counting))
    for number in range(4):
        engine.ask(number, f"{number}" * 10)
    engine.run()
    assert [engine.text(number) for number in range(4)] == ["abcde"] * 4
    assert [1, 1, 1, 1] in [rows(step) for step in engine.cells.steps]
    assert len(engine.cells.steps) < 12


def test_a_long_prompt_stalls_no_answer() -> None:
    """Each step that computes a piece of the prompt also computes a word of the answer that is being written."""
    engine = Engine(Cells(says=lambda _tokens: ord("x")))
    engine.ask(1, "short", max_tokens=40)
    engine.step()
    engine.ask(2, "y" * 2000, max_tokens=1)
    before = len(engine.cells.steps)
    engine.run()
    reading = [step for step in engine.cells.steps[before:] if max(rows(step)) > 1]
    assert sum(max(rows(step)) for step in reading) >= 2000
    assert all(rows(step)[0] == 1 for step in reading[:39])
    assert all(sum(rows(step)) <= 64 for step in reading[:39])


def test_rows_of_a_step_are_a_multiple_of_four() -> None:
    engine = Engine(Cells(says=lambda _tokens: ord("x")))
    for number in range(3):
        engine.ask(number, f"{number}", max_tokens=30)
    engine.step()
    engine.step()
    engine.ask(9, "z" * 1500, max_tokens=1)
    engine.step()
    assert sum(rows(engine.cells.steps[-1])) % 4 == 0


def test_while_more_are_read_than_answered_reading_comes_in_large_pieces() -> None:
    """Eight who ask at once are all answered sooner when nobody's first words slow the reading of the rest."""
    engine = Engine(Cells(says=lambda _tokens: ord("x")))
    for number in range(8):
        engine.ask(number, f"{number}" * 250, max_tokens=40)
    engine.run()
    reading = [step for step in engine.cells.steps if max(rows(step)) > 1]
    early = [step for step in reading if 0 < rows(step).count(1) < 4]
    late = [step for step in reading if rows(step).count(1) > 4]
    assert early
    assert all(sum(rows(step)) > 200 for step in early)
    assert late
    assert all(sum(rows(step)) <= 64 + 8 for step in late)


def test_the_shorter_prompt_comes_first_but_the_longer_one_does_come() -> None:
    engine = Engine(Cells(says=counting), at_once=1)
    engine.ask(1, "w" * 300)
    engine.step()
    engine.ask(2, "l" * 900)
    engine.ask(3, "s" * 20)
    order = []
    while not engine.scheduler.idle:
        engine.step()
        order += [id_ for id_ in (1, 2, 3) if engine.said[id_] and id_ not in order]
    assert order == [1, 3, 2]


def test_waiting_makes_up_for_length() -> None:
    """While short prompts keep coming, a long one waits for as long as its length is worth and no longer."""
    engine = Engine(Cells(says=counting), at_once=1)
    engine.ask(1, "l" * 900)
    for number in range(2, 40):
        engine.ask(number, f"{number:03}" * 7)
        engine.clock.now += 0.5
        while not engine.said[1] and not any(engine.said[number]):
            engine.step()
    assert engine.said[1]


def test_a_beginning_that_is_being_computed_is_not_computed_twice() -> None:
    engine = Engine(Cells(says=counting))
    for number in range(8):
        engine.ask(number, "c" * 1500 + f"{number}" * 5)
    engine.run()
    computed = sum(sum(rows(step)) for step in engine.cells.steps)
    assert computed < 1500 + 8 * (6 + 6)
    assert sorted(engine.chunk(number).cached_tokens for number in range(8)) == [0] + [1500] * 7


def test_who_waits_for_another_goes_on_when_that_one_is_cancelled() -> None:
    engine = Engine(Cells(says=counting))
    engine.ask(1, "c" * 1500)
    engine.step()
    engine.ask(2, "c" * 1500 + "2")
    engine.step()
    engine.cancel(1)
    engine.run()
    assert engine.text(2) == "abcde"
    assert 0 < engine.chunk(2).cached_tokens < 1500


def test_domains_share_nothing_but_what_both_name() -> None:
    engine = Engine(Cells(says=counting))
    for number, (domain, shared) in enumerate([("a", "staff"), ("b", "staff"), ("c", "board"), ("d", "")]):
        engine.ask(number, "c" * 100, domain, shared)
        engine.run()
    assert [engine.chunk(number).cached_tokens for number in range(4)] == [0, 100, 0, 0]


def test_a_shared_domain_and_a_request_s_own_of_the_same_name_never_meet() -> None:
    engine = Engine(Cells(says=counting))
    engine.ask(1, "c" * 100, "other", shared="staff")
    engine.run()
    engine.ask(2, "c" * 100, "staff")
    engine.run()
    assert engine.chunk(2).cached_tokens == 0


def crossings(rounds: int, seed: int) -> int:
    """How often a prompt is answered from cells computed in a domain that is not its own, among many at a time."""
    chance = random.Random(seed)
    engine = Engine(Cells(count=700, says=lambda tokens: chance.choice([END, *tokens[:1]])), at_once=5)
    domain_of: dict[int, str] = {}
    owners: dict[int, str] = {}
    crossed = 0

    def look() -> None:
        nonlocal crossed
        for work in engine.scheduler._running:
            assert work.sequence is not None
            for cell, _ in engine.cells.held.get(work.sequence.id, []):
                domain = domain_of[work.request.id]
                crossed += owners.setdefault(cell, domain) != domain

    for number in range(rounds):
        domain = chance.choice("abc")
        domain_of[number] = domain
        engine.ask(number, "pq" * chance.randrange(1, 60) + chance.choice("xyz") * 9, domain, max_tokens=9)
        for _ in range(chance.randrange(3)):
            engine.step()
            look()
        if chance.random() < 0.2:
            engine.cancel(chance.randrange(number + 1))
    engine.run()
    for number in range(rounds):
        assert isinstance(engine.said[number][-1], Piece)
        assert engine.said[number][-1].chunk.finish is not None
    return crossed


@pytest.mark.parametrize("seed", range(4))
def test_no_cell_ever_serves_another_domain(seed: int) -> None:
    assert crossings(400, seed) == 0


def test_control_keys_without_domains_do_cross(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Domains.keys
    monkeypatch.setattr(Domains, "keys", lambda self, _domain, tokens: honest(self, "all", tokens))
    assert crossings(100, 1) > 0


def test_more_prompts_than_memory_take_turns_and_all_end() -> None:
    engine = Engine(Cells(count=1000, says=counting), context_tokens=900)
    for number in range(8):
        engine.ask(number, f"{number}" * 600)
    engine.run()
    assert [engine.text(number) for number in range(8)] == ["abcde"] * 8
    assert engine.cells.used <= 1000


def test_without_room_the_youngest_begins_again_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where more was begun than fits, none fails and what was written stays."""
    monkeypatch.setattr(Scheduler, "_fits", lambda *_: True)
    engine = Engine(Cells(count=1000, says=counting), context_tokens=900)
    for number in range(4):
        engine.ask(number, f"{number}" * 400)
    engine.run()
    assert [engine.text(number) for number in range(4)] == ["abcde"] * 4
    assert all(engine.chunk(number).completion_tokens == 5 for number in range(4))


def test_what_many_have_in_common_counts_once() -> None:
    engine = Engine(Cells(count=1200, says=counting))
    for number in range(8):
        engine.ask(number, "c" * 1000 + f"{number}")
    engine.run()
    assert any(rows(step) == [1] * 8 for step in engine.cells.steps), "all eight are written together"


@pytest.mark.parametrize("fault", [NativeError("no memory"), ValueError("the secret prompt"), MemoryError()])
@pytest.mark.parametrize("others", [0, 3])
def test_a_failed_request_fails_alone(fault: Exception, others: int) -> None:
    engine = Engine(Cells(says=counting))
    for number in range(1, others + 1):
        engine.ask(number, f"{number}" * 10)

    def poisoned(slices: Sequence[Slice]) -> Exception | None:
        return fault if any(ord("P") in each.tokens for each in slices) else None

    engine.cells.fault = poisoned
    engine.ask(0, "P" * 10)
    engine.run()
    (refused,) = engine.said[0]
    assert isinstance(refused, Refused)
    assert refused.fault is Fault.FAILED
    assert "secret" not in refused.text
    assert [engine.text(number) for number in range(1, others + 1)] == ["abcde"] * others

    engine.cells.fault = lambda _slices: None
    engine.ask(9, "P" * 10)
    engine.run()
    assert engine.chunk(9).cached_tokens == 0, "what a failed request left behind is not built upon"


def test_an_answer_that_is_cancelled_stops_within_a_step_and_the_others_go_on() -> None:
    engine = Engine(Cells(says=lambda _tokens: ord("x")))
    for number in range(3):
        engine.ask(number, f"{number}", max_tokens=50)
    for _ in range(5):
        engine.step()
    engine.cancel(1)
    assert engine.chunk(1).finish is FinishReason.CANCELLED
    steps = len(engine.cells.steps)
    engine.run()
    assert max(len(step) for step in engine.cells.steps[steps:]) == 2
    assert engine.chunk(0).completion_tokens == engine.chunk(2).completion_tokens == 50


def test_a_question_of_odds_goes_along() -> None:
    engine = Engine(Cells(says=lambda tokens: ord("Y") if ord("?") in tokens else ord("x")))
    engine.ask(1, "p" * 50, max_tokens=20)
    engine.submit(Ask(2, Choice((Turn(Speaker.USER, ("p" * 50 + "?",)),), "a", ("Yes", "No"))))
    engine.run()
    (odds,) = engine.said[2]
    assert isinstance(odds, Weighed)
    assert odds.odds[0] > odds.odds[1]
    assert odds.cached_tokens == 50


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (Generate(1, Generation((Turn(Speaker.USER, ("p" * 65,)),), "a")), Fault.TOO_LONG),
        (Generate(1, Generation((Turn(Speaker.USER, ("p" * 5000,)),), "a")), Fault.TOO_LONG),
    ],
)
def test_a_prompt_that_cannot_fit_is_refused_before_it_waits(request_: Generate, fault: Fault) -> None:
    engine = Engine(context_tokens=64)
    with pytest.raises(RefusedError) as refused:
        engine.submit(request_)
    assert refused.value.fault is fault
    assert engine.scheduler.idle


def test_who_is_served_is_known() -> None:
    """A step may be interrupted only when nobody whose work it is wants it any more."""
    engine = Engine(Cells(says=lambda _tokens: ord("x")), at_once=2)
    assert engine.scheduler.running == set()
    for number in range(3):
        engine.ask(number, f"{number}", max_tokens=30)
    engine.step()
    assert (engine.scheduler.running, engine.scheduler.waiting) == ({0, 1}, 1)


def test_the_time_of_a_step_is_shared_by_rows() -> None:
    engine = Engine(Cells(says=counting))

    def second() -> None:
        engine.clock.now += 1.0

    engine.cells.before = second
    engine.ask(1, "p" * 50)
    engine.ask(2, "q" * 20)
    engine.run()
    steps = len(engine.cells.steps)
    spent = [engine.chunk(number).compute_seconds for number in (1, 2)]
    assert sum(spent) == pytest.approx(steps)
    assert spent[0] > spent[1]
