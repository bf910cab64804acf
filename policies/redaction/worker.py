"""The recognising process: searches one text after the other, and ends with the process that started it.

    python -m policies.redaction.worker MODEL_FOLDER RUSSIAN_FOLDER MEMORY_BYTES

The first line it reads is the settings (`options.py`), as JSON, with the words of files in their place.

It has no network, opens no files once it has begun, and is ended by the system when a request takes it more processor
time than it may. Presidio and spaCy import torch and transformers where these are installed, for recognisers that are
not used here: without them the process takes 165 MB and three seconds to start rather than 490 MB and nine.
"""

import encodings
import gc
import os
import sys
from pathlib import Path

import idna
import msgspec
import phonenumbers

from policies.errors import RedactionFailedError
from policies.isolated import READY, Ending, give_up, import_all, processor_time, send
from policies.redaction.engine import Redactor
from policies.redaction.messages import Reply, Request, to_records, to_text
from policies.redaction.options import RedactionOptions
from policies.redaction.scanner import Memory
from policies.redaction.site import read_site

_EVERYTHING = (
    "Dear Dr. Alan Turing, born on 23 June 1912, of 742 Evergreen Terrace, Springfield, IL 62704: write to "
    "alan.turing@b\u00fccher.org or alan (at) example (dot) co (dot) uk, call +44 161 496 0000 or (617) 555-0100, "
    "pay 5555 5555 5555 4444 or GB82 WEST 1234 5698 7654 32; password: Enigma#1940, 203.0.113.77, passport number "
    "X1234567. Ask \u041e\u043b\u044c\u0433\u0430 \u0421\u043c\u0438\u0440\u043d\u043e\u0432\u0430."
)
"""Has every recogniser read something once, and with it whatever it reads on first use."""


def main(model_folder: str, russian_folder: str, memory_bytes: str) -> None:
    """Serve until the other end closes."""
    for unused in ("torch", "transformers"):
        sys.modules[unused] = None  # type: ignore[assignment]  # Importing it fails, which both libraries expect.
    site = read_site(msgspec.json.decode(sys.stdin.buffer.readline() or b"{}", type=RedactionOptions), Path())
    redactor = Redactor(Path(model_folder), site, Path(russian_folder) if russian_folder else None)
    redactor.find(_EVERYTHING)
    phonenumbers.PhoneMetadata.load_all()
    import_all((encodings, idna))
    gc.freeze()  # What was loaded stays: looking through it for what to free took a quarter of a second each time.
    give_up(int(memory_bytes))
    send(READY)
    try:
        _serve(redactor)
    except MemoryError:
        os._exit(Ending.MEMORY)


def _serve(redactor: Redactor) -> None:
    decode = msgspec.json.Decoder(Request).decode
    while line := sys.stdin.buffer.readline():
        request = decode(line)
        texts = [to_text(sys.stdin.buffer.read(size)) for size in request.sizes]
        with processor_time(request.seconds):
            reply = _find(redactor, texts, request.memory, everything=request.everything)
        send(msgspec.json.encode(reply) + b"\n")


def _find(redactor: Redactor, texts: list[str], memory: Memory | None, *, everything: bool) -> Reply:
    try:
        if memory is None:
            return Reply(to_records(redactor.recognise(texts) if everything else redactor.find_many(texts)))
        scanner = redactor.scanner(memory)
        return Reply(to_records([scanner.find(texts[0])]), scanner.memory)
    except RedactionFailedError as error:
        return Reply(failed=str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])
