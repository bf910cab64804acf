"""A process that erases a user, and is killed at a point: `python -m tests.gateway.erasing_process HOME USER POINT`."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import gateway.erasure
from gateway.erasure import Erasures
from gateway.ledger import Ledger
from gateway.recording import Recorder
from tests.gateway.conftest import open_services
from tests.gateway.gated_model import GatedModel

POINTS: dict[str, tuple[Any, str, int]] = {
    "begun": (Recorder, "record_now", 1),
    "noted": (Ledger, "append", 1),
    "rows": (gateway.erasure, "forget_user", 1),
    "log": (Erasures, "_empty_log", 1),
    "said": (Recorder, "record_now", 2),
    "done": (Ledger, "append", 2),
}
"""After which call of what the process is killed."""


def kill_after(owner: Any, name: str, times: int) -> None:
    real, left = getattr(owner, name), [times]

    def killing(*given: Any, **named: Any) -> Any:
        result = real(*given, **named)
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, killing)


if __name__ == "__main__":
    home, user, point = sys.argv[1:]
    with open_services(Path(home), GatedModel()) as services:
        kill_after(*POINTS[point])
        services.erasures.erase_user(user, "root")
