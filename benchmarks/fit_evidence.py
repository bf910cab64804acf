"""Fit the weights of `gateway/chat/evidence.py`: ask questions whose answers are known, and see what tells right ones.

    python benchmarks/fit_evidence.py HOME QUESTIONS ACCESS --model ID --signals FILE

Signals are kept in FILE, so that fitting again costs nothing. Figures are from leave-one-out predictions: each
question is judged by weights that never saw it.
"""

import argparse
import asyncio
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gateway.chat.evidence import Signals
from gateway.config import Home
from gateway.evaluation.access import read_access
from gateway.evaluation.questions import load_questions
from gateway.evaluation.run import Plan, ask_each
from gateway.evaluation.scoring import Outcome
from gateway.services import Services

NAMES = [field.name for field in fields(Signals)]
RIDGE = 1.0
"""Pulls weights towards zero: there are some eighty questions and five numbers to fit."""


def collect(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Ask every question, letting no answer be declined, and note signals and outcome."""
    plan = Plan(load_questions(arguments.questions), read_access(arguments.access), [arguments.model], arguments.source)
    with Services(Home(arguments.home)) as services:
        given = asyncio.run(ask_each(services, plan, arguments.model, _told))
    return [
        {"id": one.id, "answerable": one.answerable, "right": one.outcome is Outcome.RIGHT, **one.signals}
        | {"answer": one.answer, "timings_ms": one.timings_ms}
        for one in given
        if one.signals
    ]


def _told(what: str, done: int, of: int) -> None:
    print(f"{what}: {done} of {of}", flush=True)


def fit(rows: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression on standardised signals with a ridge, by Newton's method; weights are for raw signals."""
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    design = np.hstack([np.ones((len(rows), 1)), (rows - mean) / deviation])
    weights = np.zeros(design.shape[1])
    ridge = np.diag([0.0, *[RIDGE] * rows.shape[1]])
    for _ in range(50):
        expected = 1 / (1 + np.exp(-design @ weights))
        gradient = design.T @ (right - expected) - ridge @ weights
        curvature = (design * (expected * (1 - expected))[:, None]).T @ design + ridge
        weights = weights + np.linalg.solve(curvature, gradient)
    raw = weights[1:] / deviation
    return np.array([weights[0] - raw @ mean, *raw])


def predict(weights: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The probability of being right."""
    return 1 / (1 + np.exp(-(weights[0] + rows @ weights[1:])))


def left_out(rows: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each row's probability under weights fitted on all the others."""
    everyone = np.arange(len(rows))
    return np.array([predict(fit(rows[everyone != i], right[everyone != i]), rows[i : i + 1])[0] for i in everyone])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("home", "questions", "access"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--source")
    parser.add_argument("--signals", type=Path, required=True)
    arguments = parser.parse_args()
    if not arguments.signals.exists():
        arguments.signals.write_text(json.dumps(collect(arguments), indent=1))
    data = json.loads(arguments.signals.read_text())
    rows = np.array([[float(row[name]) for name in NAMES] for row in data])
    right = np.array([float(row["right"]) for row in data])
    answerable = np.array([bool(row["answerable"]) for row in data])
    weights, held_out = fit(rows, right), left_out(rows, right)
    print(
        "weights", {"intercept": round(weights[0], 2), **dict(zip(NAMES, weights[1:].round(2).tolist(), strict=True))}
    )
    print("threshold  right/answerable  declined/unanswerable  wrong/answered")
    for threshold in np.arange(0.1, 0.95, 0.05):
        given = held_out >= threshold
        wrong = 1 - right[given].mean() if given.any() else 0.0
        share = (right[answerable] * given[answerable]).mean(), 1 - given[~answerable].mean()
        print(f"{threshold:9.2f}  {share[0]:16.2f}  {share[1]:21.2f}  {wrong:14.2f}")


if __name__ == "__main__":
    main()
