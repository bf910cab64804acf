"""Measure decisions: which of 200 distinct labels may somebody read?

`remembered` is the second key: the same person, labels and context as when the filter was made. `warm` is a person the
engine has not decided on yet, with labels it knows; `cold` is the first question of a process, which also tells the
engine of every label. Beside them, in turns: the engine alone with everything prepared (`engine`), which no wrapper can
beat, and asking it once for each label (`one_by_one`), as a straightforward program would. `filter_cached` is what a
second search of the same person within an epoch costs. Times are of the wall; `processor_ms` is the time that this
process was running, which says more on a machine shared with others.
"""

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import cedarpy
from _machine import about_this_run, write_result

from policies.actions import Action
from policies.authorizer import Authorizer, shipped
from policies.context import RequestContext
from policies.entities import label_entity, label_uid, principal_entity, principal_uid, uid
from policies.filters import AccessFilters
from policies.labels import Classification, Label
from policies.principals import Principal

LABELS = 200
TURNS = 300
COLD_TURNS = 40
PROMISED_P99_MS = 10.0


def a_label(rng: random.Random, number: int) -> Label:
    groups = frozenset({f"project-{number}", *(f"group-{rng.randrange(60)}" for _ in range(rng.randrange(1, 4)))})
    denied = frozenset({f"group-{rng.randrange(60)}"}) if rng.random() < 0.2 else frozenset()
    return Label(groups, deny_groups=denied, classification=rng.choice(list(Classification)))


class Series:
    """Times of one thing measured."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def take(self, work: Callable[[], object]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.wall.append((time.perf_counter() - wall) * 1000)
        self.processor.append((time.process_time() - processor) * 1000)

    def figures(self) -> dict[str, Any]:
        return {"wall_ms": percentiles(self.wall), "processor_ms": percentiles(self.processor), "turns": len(self.wall)}


def percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "least": round(ordered[0], 2),
        "p50": round(ordered[len(ordered) // 2], 2),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], 2),
    }


def main() -> None:
    rng = random.Random(4)
    labels = {number: a_label(rng, number) for number in range(LABELS)}
    somebody = Principal("ada", frozenset(f"group-{rng.randrange(60)}" for _ in range(12)))
    authorizer = Authorizer.load()
    filters = AccessFilters(authorizer)
    numbers = count()
    schema = cedarpy.Schema.from_str(shipped()[1])
    policies = cedarpy.PolicySet.from_str(shipped()[0])
    told = json.dumps([principal_entity(somebody), *(label_entity(label) for label in labels.values())])
    entities = cedarpy.Entities.from_json_str(told, schema)
    context = json.dumps({"channel": "http", "network": "other", "purpose": "answer"})
    asked = [
        {
            "principal": principal_uid(somebody),
            "action": uid("Action", Action.DOCUMENTS_READ.value),
            "resource": label_uid(label),
            "context": context,
        }
        for label in labels.values()
    ]
    work: dict[str, Callable[[], object]] = {
        "remembered": lambda: authorizer.decide_labels(somebody, labels),
        "warm": lambda: authorizer.decide_labels(replace(somebody, id=f"ada-{next(numbers)}"), labels),
        "engine": lambda: cedarpy.is_authorized_batch(asked, policies, entities, schema),
        "filter_cached": lambda: filters.filter_for(somebody, labels, 1, RequestContext()),
    }
    series = {name: Series() for name in (*work, "one_by_one", "cold")}
    for each in work.values():
        each()
    for turn in range(TURNS):
        for name, each in work.items():
            series[name].take(each)
        if turn % (TURNS // COLD_TURNS) == 0:
            fresh = Authorizer.load()
            series["cold"].take(lambda fresh=fresh: fresh.decide_labels(somebody, labels))
            series["one_by_one"].take(
                lambda: [cedarpy.is_authorized(request, policies, entities, schema) for request in asked]
            )
    figures = {name: each.figures() for name, each in series.items()}
    warm = figures["warm"]
    result = about_this_run(["cedarpy"]) | {
        "labels": LABELS,
        "figures": figures,
        "warm_to_engine_p50": round(warm["processor_ms"]["p50"] / figures["engine"]["processor_ms"]["p50"], 2),
        "promised_p99_ms": PROMISED_P99_MS,
        "kept": {name: figures[name]["wall_ms"]["p99"] <= PROMISED_P99_MS for name in ("remembered", "warm", "cold")},
    }
    print(json.dumps(result, indent=2))
    write_result("policy", result)


if __name__ == "__main__":
    main()
