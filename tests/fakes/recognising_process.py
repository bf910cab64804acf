"""A recognising process that finds one word and, told so by the text, goes wrong in some way; see `FAULTS`.

Run as a program without our code or libraries: it starts in milliseconds, so that a thousand of them can fall over.
"""

import json
import os
import signal
import sys
import time

SECRET = "Turing"

FAULTS = {
    "killed before": lambda _line: os.kill(os.getpid(), signal.SIGKILL),
    "killed in the middle of a reply": lambda line: (write(line[: len(line) // 2]), os.kill(os.getpid(), 9)),
    "killed before the end of the line": lambda line: (write(line.rstrip(b"\n")), os.kill(os.getpid(), 9)),
    "crashed": lambda _line: os.kill(os.getpid(), signal.SIGSEGV),
    "out of time": lambda _line: os.kill(os.getpid(), signal.SIGPROF),
    "out of memory": lambda _line: os._exit(75),
    "gone": lambda _line: os._exit(0),
    "hung": lambda _line: time.sleep(600),
    "stopped": lambda _line: os.kill(os.getpid(), signal.SIGSTOP),
    "hung in the middle of a reply": lambda line: (write(line[: len(line) // 2]), time.sleep(600)),
    "deaf": lambda _line: (os.close(1), time.sleep(600)),
    "nothing": lambda _line: write(b"\n"),
    "empty": lambda _line: write(b"{}\n"),
    "noise": lambda _line: write(b"\xff\xfe\x00garbage\n"),
    "another shape": lambda _line: write(b'{"found": 7}\n'),
    "no lists": lambda _line: write(b'{"found": []}\n'),
    "too many lists": lambda _line: write(b'{"found": [[], []]}\n'),
    "backwards": lambda _line: write(reply([span(9, 3)])),
    "empty span": lambda _line: write(reply([span(3, 3)])),
    "before the text": lambda _line: write(reply([span(-4, 3)])),
    "after the text": lambda _line: write(reply([span(3, 9_000_000)])),
    "overlapping": lambda _line: write(reply([span(0, 5), span(3, 8)])),
    "out of order": lambda _line: write(reply([span(6, 8), span(0, 5)])),
    "unknown kind": lambda _line: write(reply([{**span(0, 5), "type": "SHOE"}])),
    "no number": lambda _line: write(reply([{**span(0, 5), "start": "0"}])),
    "impossible score": lambda _line: write(reply([{**span(0, 5), "score": 7.0}])),
    "says that it failed": lambda _line: write(b'{"failed": "It failed."}\n'),
}


def span(start: int, end: int) -> dict[str, object]:
    return {"start": start, "end": end, "type": "PERSON", "score": 0.9, "recogniser": "fake"}


def reply(spans: list[dict[str, object]]) -> bytes:
    return json.dumps({"found": [spans], "memory": {"before": "", "known": [], "in_link": 0}}).encode() + b"\n"


def write(line: bytes) -> None:
    os.write(1, line)


def serve() -> None:
    write(b"ready\n")
    while line := sys.stdin.buffer.readline():
        text = b"".join(sys.stdin.buffer.read(size) for size in json.loads(line)["sizes"]).decode()
        at = text.find(SECRET)
        answer = reply([span(at, at + len(SECRET))] if at >= 0 else [])
        fault = text.partition("|")[0]
        FAULTS[fault](answer) if fault in FAULTS else write(answer)


if __name__ == "__main__":
    serve()
