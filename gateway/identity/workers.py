"""Threads for what takes long at signing in, so that it can starve nothing else.

Hashing a password takes a core for a while, and a provider may take seconds. Keys and sessions are recognised in the
process's usual threads, which must stay free.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from gateway.errors import TooManyRequestsError

_P = ParamSpec("_P")
_T = TypeVar("_T")
_AT_ONCE = 4
"""Four hashes at once are 80 MiB."""
_WAITING = 32
"""More wait longer than people do: some 30 ms each."""


class Workers:
    """A few threads with a bounded queue."""

    def __init__(self, at_once: int = _AT_ONCE, waiting: int = _WAITING) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="sign-in")
        self._most = at_once + waiting
        self._taken = 0

    async def run(self, work: Callable[_P, _T], *args: _P.args, **named: _P.kwargs) -> _T:
        """Do something in one of the threads.

        Raises:
            TooManyRequestsError: Too much is waiting already.
        """
        if self._taken >= self._most:
            message = "Too many people are signing in now. Wait a moment and try again."
            raise TooManyRequestsError(message)
        self._taken += 1
        future = self._threads.submit(work, *args, **named)
        loop = asyncio.get_running_loop()
        # Counted until the work is over, not until somebody stops waiting for it.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._over))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let running work end, and take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _over(self) -> None:
        self._taken -= 1
