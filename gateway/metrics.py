"""What is measured, and under which names. Labels are routes, kinds and source names: never a person, never a text."""

import logging
from collections.abc import Callable, Iterator, Mapping

from litestar.types import HTTPResponseStartEvent, HTTPScope
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.audit.schemas import ExportState
from gateway.chat.schemas import Answer
from gateway.identity.directories import DirectoryState
from gateway.policy.current import PolicyHealth
from gateway.requests import seconds_since_arrival
from gateway.sources.schemas import Source
from gateway.usage.service import Usage
from gateway.usage.taken import Tally, amount
from models.openai.breaker import State
from models.openai.engine import UpstreamEngine
from policies.audit.sinks.copies import CopyHealth

_log = logging.getLogger(__name__)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_ANSWER_SECONDS = (0.25, 0.5, 1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96)
_APPEND_SECONDS = (0.001, 0.002, 0.004, 0.006, 0.008, 0.012, 0.016, 0.032, 0.064, 0.25, 1, 5)
"""Around the 4 ms that a sync of a usual disk takes."""
_UNMATCHED = "unmatched"


class Metrics:
    """The gateway's measurements, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "muniment_http_requests", "Requests answered.", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "muniment_http_request_seconds",
            "Time until a response began; a streamed answer goes on after it.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self.questions = Counter(
            "muniment_questions", "Questions, by how they ended.", ["outcome"], registry=self.registry
        )
        self.questions_running = Gauge(
            "muniment_questions_running", "Questions being answered now.", registry=self.registry
        )
        self.questions_waiting = Gauge(
            "muniment_questions_waiting", "Questions that wait for their turn.", registry=self.registry
        )
        self.refusals = Counter(
            "muniment_refusals", "Questions refused with 429, by limit.", ["limit"], registry=self.registry
        )
        self.used_tokens = Counter(
            "muniment_used_tokens",
            "Tokens of all answers, however they ended, by model and kind.",
            ["model", "kind"],
            registry=self.registry,
        )
        self.used_seconds = Counter(
            "muniment_used_compute_seconds", "Time that models worked.", ["model"], registry=self.registry
        )
        self.used_cost = Counter(
            "muniment_used_cost", "What that cost, in the currency of the settings.", ["model"], registry=self.registry
        )
        self.tokens = Counter("muniment_tokens", "Tokens, by kind.", ["kind"], registry=self.registry)
        self.first_token_seconds = Histogram(
            "muniment_first_token_seconds",
            "Time until the model's first token.",
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self.answer_seconds = Histogram(
            "muniment_answer_seconds",
            "Time until an answer was checked and recorded.",
            buckets=_ANSWER_SECONDS,
            registry=self.registry,
        )
        self.redactions = Counter(
            "muniment_redactions", "Personal data replaced before the model.", ["type"], registry=self.registry
        )
        self.trail_append_seconds = Histogram(
            "muniment_trail_append_seconds",
            "Time until an entry was durable in the audit trail.",
            buckets=_APPEND_SECONDS,
            registry=self.registry,
        )
        self.sign_ins_failed = Counter(
            "muniment_sign_ins_failed", "Credentials that were not accepted.", registry=self.registry
        )
        self.access_denied = Counter("muniment_access_denied", "Requests that policy refused.", registry=self.registry)

    def watch_policies(self, health: Callable[[], PolicyHealth]) -> None:
        """Tell whether the policies that should be in force are."""
        self.registry.register(_PolicyCollector(health))

    def count_answer(self, answer: Answer) -> None:
        """Count an answer that was given."""
        self.questions.labels("abstained" if answer.abstained else "answered").inc()
        usage = answer.usage
        self.tokens.labels("prompt").inc(usage.prompt_tokens)
        self.tokens.labels("cached").inc(usage.cached_tokens)
        self.tokens.labels("completion").inc(usage.completion_tokens)
        for type_, count in answer.redactions.items():
            self.redactions.labels(type_).inc(count)
        for name, histogram in (("first_token", self.first_token_seconds), ("total", self.answer_seconds)):
            if name in answer.timings_ms:
                histogram.observe(answer.timings_ms[name] / 1000)

    def watch_usage(self, usage: Usage) -> None:
        """Count what answers take and cost, and who is refused by which limit."""
        usage.observe = self._count_usage
        usage.observe_refusal = lambda limit: self.refusals.labels(limit).inc()

    def _count_usage(self, tally: Tally, cost: int) -> None:
        """A cost is a float here, as all that Prometheus knows are; reports have it exactly."""
        model = tally.model
        self.used_tokens.labels(model, "prompt").inc(tally.prompt_tokens)
        self.used_tokens.labels(model, "cached").inc(tally.cached_tokens)
        self.used_tokens.labels(model, "completion").inc(tally.completion_tokens)
        self.used_seconds.labels(model).inc(tally.compute_seconds)
        self.used_cost.labels(model).inc(float(amount(cost)))

    def watch_copies(self, health: Callable[[], list[CopyHealth]]) -> None:
        """Tell about the places that checkpoints are copied to."""
        self.registry.register(_CopyCollector(health))

    def watch_exports(self, states: Callable[[], list[ExportState]]) -> None:
        """Tell about the systems that entries are sent to, read at each collection: another process may send."""
        self.registry.register(_ExportCollector(states))

    def watch_upstreams(self, engines: Mapping[str, UpstreamEngine]) -> None:
        """Tell about the servers of models that are not run here."""
        self.registry.register(_UpstreamCollector(engines))

    def watch_sources(self, listed: Callable[[], list[Source]]) -> None:
        """Tell about the sources, read at each collection: runs happen in other processes too."""
        self.registry.register(_SourceCollector(listed))

    def watch_directory(self, state: Callable[[], DirectoryState]) -> None:
        """Tell about the directory, read at each collection."""
        self.registry.register(_DirectoryCollector(state))

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self.requests.labels(method, route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)

    def render(self) -> bytes:
        """All of it in the text format that Prometheus reads."""
        return generate_latest(self.registry)


class _PolicyCollector(Collector):
    def __init__(self, health: Callable[[], PolicyHealth]) -> None:
        self._health = health

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection, so that registering reads no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Whether the stored policies decide, and how often this process found some that it cannot use."""
        health = self._health()
        in_force = GaugeMetricFamily(
            "muniment_policies_in_force", "1 when the newest loaded policies decide, 0 when they cannot be used."
        )
        in_force.add_metric([], 0 if health.problem else 1)
        refused = CounterMetricFamily("muniment_policies_refused", "Stored policies that this process could not use.")
        refused.add_metric([], health.refused)
        yield from (in_force, refused)


class _CopyCollector(Collector):
    def __init__(self, health: Callable[[], list[CopyHealth]]) -> None:
        self._health = health

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Since when each place lacks a checkpoint, and whether it refuses."""
        behind = GaugeMetricFamily(
            "muniment_checkpoint_copy_behind_timestamp_seconds",
            "Since when a place lacks the newest checkpoint, 0 when it does not.",
            labels=["place"],
        )
        failing = GaugeMetricFamily(
            "muniment_checkpoint_copy_failing", "Whether a place refuses or contradicts checkpoints.", labels=["place"]
        )
        for health in self._health():
            behind.add_metric([health.name], health.behind_since.timestamp() if health.behind_since else 0)
            failing.add_metric([health.name], int(bool(health.detail)))
        yield from (behind, failing)


class _ExportCollector(Collector):
    def __init__(self, states: Callable[[], list[ExportState]]) -> None:
        self._states = states

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """How far each place was sent to, how much waits, and whether it refuses."""
        sent = GaugeMetricFamily("muniment_export_entry", "The last entry that a place has.", labels=["place"])
        behind = GaugeMetricFamily("muniment_export_behind", "Entries that a place lacks.", labels=["place"])
        failing = GaugeMetricFamily("muniment_export_failing", "Whether a place refuses entries.", labels=["place"])
        try:
            states = self._states()
        except Exception as error:  # noqa: BLE001 - a trail that is away must not hide the other measurements.
            _log.warning("export_metrics_unavailable error=%s", type(error).__name__)
            return
        for state in states:
            sent.add_metric([state.name], state.entry)
            behind.add_metric([state.name], state.behind)
            failing.add_metric([state.name], int(bool(state.error)))
        yield from (sent, behind, failing)


class _UpstreamCollector(Collector):
    def __init__(self, engines: Mapping[str, UpstreamEngine]) -> None:
        self._engines = engines

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Which servers are asked, what is with each, and how often a question was sent again."""
        labels = ["model", "server"]
        asked = GaugeMetricFamily(
            "muniment_upstream_asked", "Whether a server is asked, and not left alone.", labels=labels
        )
        running = GaugeMetricFamily("muniment_upstream_questions", "Questions that are with a server.", labels=labels)
        retries = CounterMetricFamily("muniment_upstream_retries", "Questions that were sent again.", labels=["model"])
        for model, engine in self._engines.items():
            retries.add_metric([model], engine.servers.retries)
            for endpoint in engine.servers.endpoints:
                asked.add_metric([model, endpoint.url], int(endpoint.breaker.state is not State.OPEN))
                running.add_metric([model, endpoint.url], endpoint.outstanding)
        yield from (asked, running, retries)


class _SourceCollector(Collector):
    def __init__(self, listed: Callable[[], list[Source]]) -> None:
        self._listed = listed

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection, so that registering reads no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """One value per source and measure."""
        documents = GaugeMetricFamily("muniment_source_documents", "Documents of a source.", labels=["source"])
        skipped = GaugeMetricFamily("muniment_source_skipped", "Documents that could not be read.", labels=["source"])
        synced = GaugeMetricFamily(
            "muniment_source_synced_timestamp_seconds", "End of the last run.", labels=["source"]
        )
        for source in self._sources():
            documents.add_metric([source.name], source.documents)
            skipped.add_metric([source.name], source.skipped)
            if source.synced_at is not None:
                synced.add_metric([source.name], source.synced_at.timestamp())
        yield from (documents, skipped, synced)

    def _sources(self) -> list[Source]:
        try:
            return self._listed()
        except Exception as error:  # noqa: BLE001 - a database that is down must not hide the other measurements.
            _log.warning("source_metrics_unavailable error=%s", type(error).__name__)
            return []


class _DirectoryCollector(Collector):
    def __init__(self, state: Callable[[], DirectoryState]) -> None:
        self._state = state

    def describe(self) -> Iterator[Metric]:
        """Nothing before the first collection, so that registering reads no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """When it was read, and whether its users are denied because that was too long ago."""
        try:
            state = self._state()
        except Exception as error:  # noqa: BLE001 - a database that is down must not hide the other measurements.
            _log.warning("directory_metrics_unavailable error=%s", type(error).__name__)
            return
        read_at = state.read_at.timestamp() if state.read_at else 0
        yield GaugeMetricFamily(
            "muniment_directory_read_timestamp_seconds", "Last good read of the directory.", value=read_at
        )
        yield GaugeMetricFamily(
            "muniment_directory_lost", "Whether users of the directory are denied.", value=int(state.lost)
        )
        yield GaugeMetricFamily(
            "muniment_directory_failing", "Whether the last read failed.", value=int(bool(state.problem))
        )


def count_response(metrics: Metrics, message: HTTPResponseStartEvent, scope: HTTPScope) -> None:
    """Count a response as it begins; what matched no route shares one name, so that callers cannot add series."""
    route = scope.get("path_template")
    method = scope["method"] if route else _UNMATCHED
    metrics.count_request(method, str(route or _UNMATCHED), message["status"], seconds_since_arrival(scope))
