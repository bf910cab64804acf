"""What the gateway and the worker say to each other: msgpack structs, each after its length in four bytes.

One socket pair, both ends ours; yet the worker takes nothing on trust that could make it allocate or run.
"""

from enum import StrEnum

import msgspec

from models.engine import Choice, Chunk, Generation

LENGTH_BYTES = 4
MAX_FRAME_BYTES = 32 << 20


class Load(msgspec.Struct, frozen=True, tag=True):
    """The first message: the model to load. The file is used only if its bytes have this size and SHA-256."""

    path: str
    size_bytes: int
    sha256: str
    template: str
    context_tokens: int
    cache_tokens: int
    at_once: int
    threads: int
    gpu_layers: int


class Generate(msgspec.Struct, frozen=True, tag=True):
    """Produce text; `Piece` messages follow, the last one with a finish reason."""

    id: int
    generation: Generation


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Weigh a few replies; `Weighed` follows."""

    id: int
    choice: Choice


class Count(msgspec.Struct, frozen=True, tag=True):
    """Count the tokens of a text; `Counted` follows, also while an answer is produced."""

    id: int
    text: str


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Stop working on a request; its last `Piece` says so. Unknown ids are ignored."""

    id: int


class Forget(msgspec.Struct, frozen=True, tag=True):
    """Let go of every prompt that nobody works on."""

    id: int


class Ping(msgspec.Struct, frozen=True, tag=True):
    """Say how you are; `Pong` follows at once, also while an answer is produced."""

    id: int


class Loaded(msgspec.Struct, frozen=True, tag=True):
    """The model is in memory."""

    hash_seconds: float
    load_seconds: float


class Piece(msgspec.Struct, frozen=True, tag=True):
    """Some text of an answer."""

    id: int
    chunk: Chunk


class Weighed(msgspec.Struct, frozen=True, tag=True):
    """The probability of each reply, in the order they were given, and what finding it took; see `Chunk`."""

    id: int
    odds: tuple[float, ...]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    compute_seconds: float = 0.0


class Counted(msgspec.Struct, frozen=True, tag=True):
    """How many tokens a text takes."""

    id: int
    tokens: int


class Pong(msgspec.Struct, frozen=True, tag=True):
    """How the worker is: how long its current step has taken, how many requests it works on, and how many wait."""

    id: int
    step_seconds: float
    running: int
    waiting: int


class Fault(StrEnum):
    """Why a request is refused."""

    AMBIGUOUS = "ambiguous"
    CORRUPT = "corrupt"
    FAILED = "failed"
    MALFORMED = "malformed"
    TOO_LONG = "too-long"


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A request, or the model, cannot be served; id 0 means no request in particular."""

    id: int
    fault: Fault
    text: str


class RefusedError(Exception):
    """In the worker: a request, or the model, that cannot be served, and why."""

    def __init__(self, fault: Fault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


ToWorker = Load | Generate | Ask | Count | Cancel | Forget | Ping
FromWorker = Loaded | Piece | Weighed | Counted | Pong | Refused

_encoder = msgspec.msgpack.Encoder()
_to_worker = msgspec.msgpack.Decoder(ToWorker)
_from_worker = msgspec.msgpack.Decoder(FromWorker)


def frame(message: ToWorker | FromWorker) -> bytes:
    """A message as it goes over the socket."""
    content = _encoder.encode(message)
    return len(content).to_bytes(LENGTH_BYTES, "big") + content


def frame_length(prefix: bytes) -> int:
    """The length of the message that follows.

    Raises:
        ValueError: No sound peer sends so much.
    """
    if (length := int.from_bytes(prefix, "big")) > MAX_FRAME_BYTES:
        message = f"a message of {length} bytes is longer than any can be"
        raise ValueError(message)
    return length


def read_request(content: bytes) -> ToWorker:
    """What the gateway said.

    Raises:
        msgspec.MsgspecError: It is no message.
    """
    request: ToWorker = _to_worker.decode(content)
    return request


def read_reply(content: bytes) -> FromWorker:
    """What the worker said.

    Raises:
        msgspec.MsgspecError: It is no message.
    """
    reply: FromWorker = _from_worker.decode(content)
    return reply
