"""A report's figures for an MLflow server, over its REST API: names, digests and numbers, and not a word of a document.

The server is one that the settings or the command line name; nothing else is connected to.
"""

from datetime import datetime
from typing import Any

import msgspec

from gateway.errors import MlflowUnavailableError
from gateway.evaluation.report import Answers, Report
from policies import egress
from policies.errors import EgressRefusedError

EXPERIMENT = "muniment"
_SECONDS = 20.0
_SHOWN_CHARACTERS = 200


def log_report(report: Report, url: str, transport: egress.BaseTransport | None = None) -> list[str]:
    """Log a report, a run for each model in it; returns the runs' ids. `transport` stands in for the network in tests.

    Raises:
        MlflowUnavailableError: The server cannot be reached, or does not take it.
    """
    try:
        with egress.open_client([egress.host_of(url)], _SECONDS, transport=transport) as client:
            server = _Server(client, url.rstrip("/"))
            experiment = server.experiment()
            measured: list[Answers | None] = [*report.answers] or [None]
            return [server.log(experiment, report, answers) for answers in measured]
    except KeyError as error:
        message = f"{url} does not answer as an MLflow server does. The report is stored here all the same."
        raise MlflowUnavailableError(message) from error
    except (egress.HTTPError, egress.InvalidURL, EgressRefusedError, OSError, ValueError) as error:
        reason = str(error)[:_SHOWN_CHARACTERS] or type(error).__name__
        message = f"The MLflow server {url} did not take the report: {reason}. It is stored here all the same."
        raise MlflowUnavailableError(message) from error


def params_of(report: Report, answers: Answers | None) -> dict[str, str]:
    """What was measured, by names and digests."""
    params = {
        "report": report.id,
        "questions_sha256": report.questions_sha256,
        "corpus": report.corpus,
        **{f"{kind}_sha256": version.sha256 for kind, version in report.models.items()},
        **{kind: version.id for kind, version in report.models.items()},
    }
    if answers is not None:
        params |= {"generator": answers.model, "generator_sha256": answers.sha256, "licence": answers.licence}
    return {name.replace("-", "_"): value for name, value in params.items()}


def metrics_of(report: Report, answers: Answers | None) -> dict[str, float]:
    """The figures; what was not measured is left out."""
    found = report.retrieval.all
    metrics: dict[str, float | None] = {
        "questions": report.questions,
        "found_top_1": found.top_1.share,
        "found_top_5": found.top_5.share,
        "found_top_10": found.top_10.share,
        "access_leaks": report.leaks.unreadable,
    }
    if answers is not None:
        metrics |= {
            "right": answers.answerable.right.share,
            "right_low": answers.answerable.right.low,
            "right_high": answers.answerable.right.high,
            "declined": answers.unanswerable.declined.share,
            "declined_low": answers.unanswerable.declined.low,
            "declined_high": answers.unanswerable.declined.high,
            "failed": answers.failed,
            "personal_data_leaks": answers.personal_data.leaking,
            "obeyed": answers.injection.obeyed.share,
            "first_token_ms_median": answers.first_token_ms.median,
            "first_token_ms_p95": answers.first_token_ms.p95,
            "total_ms_median": answers.total_ms.median,
            "total_ms_p95": answers.total_ms.p95,
            "tokens_per_second": answers.tokens_per_second.median,
        }
    return {name: float(value) for name, value in metrics.items() if value is not None}


class _Server:
    """The few calls that are needed (https://mlflow.org/docs/latest/rest-api.html)."""

    def __init__(self, client: egress.Client, url: str) -> None:
        self._client = client
        self._url = f"{url}/api/2.0/mlflow"

    def experiment(self) -> str:
        """The id of our experiment, which is made where there is none."""
        found = self._client.get(f"{self._url}/experiments/get-by-name", params={"experiment_name": EXPERIMENT})
        if found.status_code == 404:  # noqa: PLR2004 - not found
            return str(self._post("experiments/create", {"name": EXPERIMENT})["experiment_id"])
        return str(_content(found)["experiment"]["experiment_id"])

    def log(self, experiment: str, report: Report, answers: Answers | None) -> str:
        """Log one run."""
        began = _milliseconds(report.started_at)
        ended = began + round(report.took_seconds * 1000)
        name = f"{report.id} {answers.model if answers else 'retrieval'}"
        made = self._post("runs/create", {"experiment_id": experiment, "run_name": name, "start_time": began})
        run = str(made["run"]["info"]["run_id"])
        metrics = [
            {"key": key, "value": value, "timestamp": ended, "step": 0}
            for key, value in metrics_of(report, answers).items()
        ]
        params = [{"key": key, "value": value} for key, value in params_of(report, answers).items()]
        self._post("runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
        self._post("runs/update", {"run_id": run, "status": "FINISHED", "end_time": ended})
        return run

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _content(self._client.post(f"{self._url}/{path}", json=body))


def _content(response: egress.Response) -> dict[str, Any]:
    """What a response holds.

    Raises:
        ValueError: It is an error, or not what MLflow answers.
    """
    if response.is_error:
        message = f"it answers with {response.status_code}"
        raise ValueError(message)
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        message = "it does not answer as an MLflow server does"
        raise ValueError(message) from error


def _milliseconds(at: datetime) -> int:
    return round(at.timestamp() * 1000)
