"""The parsing process: reads one document after the other, and ends with the process that started it.

    python -m retrieval.parsing.worker CPU_SECONDS MEMORY_BYTES

It has no network, opens no files once it has begun, and is ended by the system when one document takes it more
processor time than it may: that also ends native code, and does not depend on how busy the machine is.
"""

import email
import encodings
import os
import sys

import docx
import markdown_it
import msgspec
import pypdf

from policies.isolated import READY, Ending, give_up, import_all, processor_time, send
from retrieval.parsing.errors import UnparsableError
from retrieval.parsing.messages import Reply, Request
from retrieval.parsing.parser import parse


def main(cpu_seconds: str, memory_bytes: str) -> None:
    """Serve until the other end closes."""
    import_all((docx, email, encodings, markdown_it, pypdf))
    give_up(int(memory_bytes))
    send(READY)
    try:
        _serve(float(cpu_seconds))
    except MemoryError:
        os._exit(Ending.MEMORY)


def _serve(cpu_seconds: float) -> None:
    decode = msgspec.json.Decoder(Request).decode
    while line := sys.stdin.buffer.readline():
        request = decode(line)
        content = sys.stdin.buffer.read(request.size)
        with processor_time(cpu_seconds):
            reply = _read(content, request)
        send(msgspec.json.encode(reply) + b"\n")


def _read(content: bytes, request: Request) -> Reply:
    try:
        return Reply(parse(content, request.media_type, request.path))
    except UnparsableError as error:
        return Reply(unparsable=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
