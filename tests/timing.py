"""Time that does not depend on what else the machine is doing."""

import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor time of the least of five tries: neighbours on the machine make a try longer, never shorter."""
    return min(_once(work) for _ in range(5))


def _once(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
