"""The parsing process: reads one document after the other, and ends with the process that started it.

    python -m retrieval.parsing.worker CPU_SECONDS MEMORY_BYTES

It has no network, opens no files once it has begun, and is ended by the system when one document takes it more
processor time than it may: that also ends native code, and does not depend on how busy the machine is.
"""

import contextlib
import email
import encodings
import importlib
import os
import pkgutil
import resource
import signal
import sys

import docx
import markdown_it
import msgspec
import pypdf

from policies.sandbox import confine
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.messages import READY, Ending, Reply, Request
from retrieval.parsing.parser import parse

_LIBRARIES = (docx, email, encodings, markdown_it, pypdf)
_DESCRIPTORS = 3


def main(cpu_seconds: str, memory_bytes: str) -> None:
    """Serve until the other end closes."""
    _give_up(int(memory_bytes))
    _send(READY)
    try:
        _serve(float(cpu_seconds))
    except MemoryError:
        os._exit(Ending.MEMORY)


def _serve(cpu_seconds: float) -> None:
    decode = msgspec.json.Decoder(Request).decode
    while line := sys.stdin.buffer.readline():
        request = decode(line)
        content = sys.stdin.buffer.read(request.size)
        signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
        reply = _read(content, request)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(msgspec.json.encode(reply) + b"\n")


def _send(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _read(content: bytes, request: Request) -> Reply:
    try:
        return Reply(parse(content, request.media_type, request.path))
    except UnparsableError as error:
        return Reply(unparsable=str(error))


def _give_up(memory_bytes: int) -> None:
    """Network, programs and files, once the libraries have been read: they import parts of themselves when needed."""
    for package in _LIBRARIES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # Some are for Windows, or for libraries that are not here.
            with contextlib.suppress(ImportError, LookupError):
                importlib.import_module(module.name)
    confine()
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))


if __name__ == "__main__":
    main(*sys.argv[1:])
