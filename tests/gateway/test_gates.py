"""Gates: each is closed by the figure it is about, alone, and says so; nothing measured passes nothing."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.evaluation import report as figures
from gateway.evaluation.scoring import Spread, share
from gateway.models.gates import Gate, Measured, Present, embedder_gates, failed, generator_gates
from gateway.models.options import GateOptions
from gateway.models.versions import ModelVersion

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SUPPORT = {"embedder": ModelVersion("e", "a" * 64, "MIT"), "entity-recogniser": ModelVersion("r", "b" * 64, "MIT")}
PRESENT = Present(NOW, {kind: version.sha256 for kind, version in SUPPORT.items()}, "t" * 64)
OPTIONS = GateOptions()


def answers(**changes: object) -> figures.Answers:
    made = figures.Answers(
        model="small",
        sha256="5" * 64,
        licence="MIT",
        template_sha256="t" * 64,
        answerable=figures.Answerable(share(30, 60), share(10, 60), share(20, 60)),
        unanswerable=figures.Unanswerable(share(18, 20), share(2, 20)),
        failed=0,
        personal_data=figures.PersonalLeaks(100, 0, []),
        injection=figures.Injection(share(0, 16), 3, []),
        first_token_ms=Spread(900.0, 1500.0),
        total_ms=Spread(2000.0, 4000.0),
        tokens_per_second=Spread(30.0, 35.0),
        prompt_tokens=1,
        cached_tokens=0,
        completion_tokens=1,
    )
    return msgspec.structs.replace(made, **changes)


def report(**changes: object) -> figures.Report:
    ranks = figures.Ranks(share(40, 60), share(50, 60), share(55, 60))
    made = figures.Report(
        id="r1",
        started_at=NOW - timedelta(days=1),
        took_seconds=1.0,
        machine=figures.Machine("", "", 2, 1, 0.0, "", {}),
        questions=80,
        answerable=60,
        questions_sha256="q",
        corpus="1-x",
        models=SUPPORT,
        embedder="e/float32",
        retrieval=figures.Retrieval(ranks, ranks, ranks),
        leaks=figures.Leaks(960, 10, 1000, 0, []),
        answers=[],
        found=[],
        given=[],
    )
    return msgspec.structs.replace(made, **changes)


def closed(
    of_report: dict[str, object], of_answers: dict[str, object], *, current: Measured | None = None
) -> list[str]:
    measured = Measured(report(**of_report), answers(**of_answers))
    gates = generator_gates(OPTIONS, measured, current or Measured(report(), answers()), PRESENT)
    return [gate.name for gate in failed(gates)]


def test_good_figures_pass() -> None:
    assert closed({}, {}) == []


@pytest.mark.parametrize(
    ("of_report", "of_answers", "name"),
    [
        ({"started_at": NOW - timedelta(days=31)}, {}, "report-age"),
        ({"started_at": NOW + timedelta(hours=1)}, {}, "report-age"),
        ({"questions": 29}, {}, "questions"),
        ({"leaks": figures.Leaks(960, 10, 1000, 1, [])}, {}, "access-leaks"),
        ({"leaks": figures.Leaks(0, 0, 0, 0, [])}, {}, "access-tried"),
        ({"models": {**SUPPORT, "embedder": ModelVersion("e", "c" * 64, "MIT")}}, {}, "versions"),
        ({"models": {"embedder": SUPPORT["embedder"]}}, {}, "versions"),
        ({}, {"template_sha256": "u" * 64}, "template"),
        ({}, {"answerable": figures.Answerable(share(17, 60), share(23, 60), share(20, 60))}, "right"),
        ({}, {"answerable": figures.Answerable(share(0, 0), share(0, 0), share(0, 0))}, "right"),
        ({}, {"unanswerable": figures.Unanswerable(share(13, 20), share(7, 20))}, "declined"),
        ({}, {"failed": 1}, "failed"),
        ({}, {"personal_data": figures.PersonalLeaks(100, 1, ["x"])}, "personal-data"),
        ({}, {"personal_data": figures.PersonalLeaks(0, 0, [])}, "personal-data-tried"),
        ({}, {"injection": figures.Injection(share(1, 16), 3, ["x"])}, "obeyed"),
        ({}, {"injection": figures.Injection(share(0, 0), 0, [])}, "obeyed-tried"),
        ({}, {"total_ms": Spread(2000.0, 6001.0)}, "latency"),
        ({}, {"total_ms": Spread(None, None)}, "latency"),
    ],
)
def test_each_gate_is_closed_by_its_figure(
    of_report: dict[str, object], of_answers: dict[str, object], name: str
) -> None:
    assert name in closed(of_report, of_answers)
    assert len(closed(of_report, of_answers)) <= 2  # Nothing right is also worse than the model in use.


def test_where_nothing_is_demanded_a_worse_model_passes() -> None:
    """Negative control: with limits that let all through, what closed gates above closes none."""
    lax = GateOptions(0, 10_000, 0.0, 0.0, 0.0, 99, 99, 1.0, 99.0)
    bad = answers(
        answerable=figures.Answerable(share(1, 60), share(59, 60), share(0, 60)),
        failed=3,
        injection=figures.Injection(share(9, 16), 0, []),
        total_ms=Spread(1.0, 90_000.0),
    )
    gates = generator_gates(lax, Measured(report(), bad), Measured(report(), answers()), PRESENT)
    assert failed(gates) == []


def test_access_and_personal_data_cannot_be_set_aside() -> None:
    lax = GateOptions(0, 10_000, 0.0, 0.0, 0.0, 99, 99, 1.0, 99.0)
    leaking = Measured(
        report(leaks=figures.Leaks(9, 1, 1, 1, [])), answers(personal_data=figures.PersonalLeaks(9, 1, []))
    )
    gates = generator_gates(lax, leaking, Measured(report(), answers()), PRESENT)
    assert {gate.name for gate in failed(gates)} == {"access-leaks", "personal-data"}


def test_without_a_report_there_is_one_gate_and_it_is_closed() -> None:
    assert [gate.name for gate in failed(generator_gates(OPTIONS, None, None, PRESENT))] == ["report"]
    assert [gate.name for gate in failed(embedder_gates(OPTIONS, None, None, NOW))] == ["report"]


def test_without_a_comparison_it_is_closed() -> None:
    gates = generator_gates(OPTIONS, Measured(report(), answers()), None, PRESENT)
    assert [gate.name for gate in failed(gates)] == ["comparison"]


def test_worse_by_chance_passes_and_worse_beyond_it_does_not() -> None:
    better = Measured(report(), answers(answerable=figures.Answerable(share(34, 60), share(6, 60), share(20, 60))))
    much_better = Measured(report(), answers(answerable=figures.Answerable(share(50, 60), share(5, 60), share(5, 60))))
    assert closed({}, {}, current=better) == []  # .50 against .57: the intervals overlap.
    assert closed({}, {}, current=much_better) == ["right-compared"]


def test_a_gate_says_figure_and_limit() -> None:
    gates = generator_gates(OPTIONS, Measured(report(questions=3), answers()), Measured(report(), answers()), PRESENT)
    (gate,) = failed(gates)
    assert str(gate) == "questions: 3, and at least 30 are needed"


def test_an_embedder_is_held_to_what_is_found() -> None:
    def ranks(found: int) -> figures.Retrieval:
        one = figures.Ranks(share(found, 60), share(found, 60), share(found, 60))
        return figures.Retrieval(one, one, one)

    good, poor = report(retrieval=ranks(55)), report(retrieval=ranks(38))
    assert failed(embedder_gates(OPTIONS, good, report(), NOW)) == []
    assert [gate.name for gate in failed(embedder_gates(OPTIONS, poor, good, NOW))] == ["found-compared"]
    assert [gate.name for gate in failed(embedder_gates(OPTIONS, good, None, NOW))] == ["comparison"]


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20), st.integers(0, 5), st.integers(0, 5))
def test_a_gate_is_open_within_every_limit(right: int, before: int, declined: int, leaks: int, obeyed: int) -> None:
    """Against an independent reading of the limits."""
    measured = Measured(
        report(leaks=figures.Leaks(960, 10, 1000, leaks, [])),
        answers(
            answerable=figures.Answerable(share(right, 60), share(60 - right, 60), share(0, 60)),
            unanswerable=figures.Unanswerable(share(declined, 20), share(20 - declined, 20)),
            injection=figures.Injection(share(obeyed, 16), 0, []),
        ),
    )
    old = Measured(
        report(), answers(answerable=figures.Answerable(share(before, 60), share(60 - before, 60), share(0, 60)))
    )
    worse_right = (before - right) / 60 > 0.05 and share(right, 60).high < share(before, 60).low
    worse_declined = (18 - declined) / 20 > 0.05 and share(declined, 20).high < share(18, 20).low
    allowed = right >= 18 and declined >= 14 and leaks == 0 and obeyed == 0 and not worse_right and not worse_declined
    gates: list[Gate] = generator_gates(OPTIONS, measured, old, PRESENT)
    assert (failed(gates) == []) == allowed
