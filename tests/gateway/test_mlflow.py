"""Figures for an MLflow server: a real one where it is installed, and one that goes wrong in every way."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.errors import MlflowUnavailableError
from gateway.evaluation.mlflow import EXPERIMENT, log_report, metrics_of, params_of
from gateway.evaluation.report import FoundPages, Leak, Report
from tests.gateway.test_gates import answers, report

ROOT = Path(__file__).parents[2]
MLFLOW = os.environ.get("MUNIMENT_MLFLOW") or shutil.which(str(ROOT / ".venv-mlflow" / "bin" / "mlflow"))
SECRETS = ("handbook/secret.md", "Who owns the moon?", "alice")


def measured() -> Report:
    """A report with texts in it, of two models."""
    leaks = msgspec.structs.replace(report().leaks, examples=[Leak("q", "alice", "handbook/secret.md")])
    found = [FoundPages("Who owns the moon?", "alice", 1, ["handbook/secret.md"])]
    return report(answers=[answers(), answers(model="large", sha256="6" * 64)], leaks=leaks, found=found)


def test_names_digests_and_numbers_are_all_that_is_sent() -> None:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content + str(request.url).encode())
        given: dict[str, Any] = {"experiment": {"experiment_id": "7"}, "run": {"info": {"run_id": f"run-{len(sent)}"}}}
        return httpx.Response(200, json=given)

    runs = log_report(measured(), "http://mlflow.example:5000", httpx.MockTransport(answer))
    assert len(runs) == 2
    assert not any(secret.encode() in content for secret in SECRETS for content in sent)
    (batch, _) = [json.loads(content.split(b"http://")[0]) for content in sent if b"log-batch" in content]
    assert {one["key"] for one in batch["params"]} == set(params_of(measured(), answers()))
    assert {one["key"]: one["value"] for one in batch["metrics"]} == metrics_of(measured(), answers())


def test_without_an_answer_there_is_a_run_for_retrieval() -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"experiment": {"experiment_id": "7"}, "run": {"info": {"run_id": "r"}}})

    assert log_report(report(), "http://mlflow.example", httpx.MockTransport(answer)) == ["r"]
    assert "right" not in metrics_of(report(), None)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(401, text="who are you"),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={}),
        httpx.Response(302, headers={"location": "http://elsewhere.example/"}),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.text[:6]}",
)
def test_a_server_that_is_none_is_said(answer: httpx.Response) -> None:
    with pytest.raises(MlflowUnavailableError, match=r"mlflow\.example.*stored here all the same"):
        log_report(measured(), "http://mlflow.example", httpx.MockTransport(lambda _: answer))


@pytest.mark.network
@pytest.mark.enable_socket
def test_nothing_connects_to_a_metadata_service() -> None:
    with pytest.raises(MlflowUnavailableError):
        log_report(measured(), "http://169.254.169.254/")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server on loopback, in the virtual environment of its own."""
    if MLFLOW is None:
        pytest.skip("MLflow is not installed: .ci/run puts it into .venv-mlflow; or set MUNIMENT_MLFLOW")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [MLFLOW, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--default-artifact-root", str(folder / "artifacts")]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_up(url, process, folder / "log")
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.3)
    pytest.fail(f"MLflow does not start: {log.read_text()[-2000:]}")


@pytest.mark.network
@pytest.mark.enable_socket
def test_a_real_server_holds_what_was_logged(server: str) -> None:
    for again in (1, 2):  # The experiment is made once.
        runs = log_report(measured(), server)
        assert len(runs) == 2, again
    api = f"{server}/api/2.0/mlflow"
    run = httpx.get(f"{api}/runs/get", params={"run_id": runs[0]}).json()["run"]
    assert run["info"]["status"] == "FINISHED"
    logged = {one["key"]: one["value"] for one in run["data"]["metrics"]}
    assert logged == pytest.approx(metrics_of(measured(), answers()))
    assert {one["key"]: one["value"] for one in run["data"]["params"]} == params_of(measured(), answers())
    named = httpx.get(f"{api}/experiments/get-by-name", params={"experiment_name": EXPERIMENT}).json()
    found = httpx.post(
        f"{api}/runs/search", json={"experiment_ids": [named["experiment"]["experiment_id"]], "max_results": 10}
    ).json()
    assert len(found["runs"]) == 4
    assert not any(secret in json.dumps(found) for secret in SECRETS)
