"""What a worker process gives up before it touches hostile input: network, other programs and processes, core dumps.

Model files, prompts and documents are the most hostile input there is, and the native code that reads them is not
memory-safe.
"""

import ctypes
import os
import platform
import resource
import struct
from pathlib import Path

_DESCRIPTORS = 64
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2

# Offsets in struct seccomp_data (linux/seccomp.h), and classic BPF instructions (linux/filter.h).
_NUMBER_AT, _ARCHITECTURE_AT = 0, 4
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000  # Denied calls fail with EPERM.

# linux/audit.h, and where the second set of numbers for the same calls (x32) begins.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_FROM = 0x40000000
# socket, connect, bind, listen, execve, execveat, ptrace, process_vm_readv, process_vm_writev, io_uring_setup
_DENIED = {
    "x86_64": (41, 42, 49, 50, 59, 322, 101, 310, 311, 425),
    "aarch64": (198, 203, 200, 201, 221, 281, 117, 270, 271, 425),
}


class SandboxError(Exception):
    """A worker cannot be confined here, so it does not start."""


def confine() -> None:
    """Give up what no worker needs; cannot be undone, and threads started later inherit it.

    Raises:
        SandboxError: The system does not allow it.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    machine = platform.machine()
    if machine not in _DENIED:
        message = f"the worker cannot be confined on {machine}; only on {', '.join(_DENIED)}"
        raise SandboxError(message)
    program = b"".join(_filter(_ARCHITECTURES[machine], _DENIED[machine]))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and a pointer to them.
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def limit_growth(more_bytes: int) -> None:
    """Let this process take so much more memory than it has now, and open a few more files; both for good."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))


def _filter(architecture: int, denied: tuple[int, ...]) -> list[bytes]:
    """Instructions that deny some calls by number; foreign numberings of calls kill the process."""
    ending = [
        _instruction(_RETURN, 0, 0, _ALLOW),
        _instruction(_RETURN, 0, 0, _DENY),
        _instruction(_RETURN, 0, 0, _KILL),
    ]
    count = len(denied)
    checks = [
        _instruction(_JUMP_EQUAL, count - index, 0, number)  # To the denial, past the remaining checks and the pass.
        for index, number in enumerate(denied)
    ]
    return [
        _instruction(_LOAD, 0, 0, _ARCHITECTURE_AT),
        _instruction(_JUMP_EQUAL, 0, count + 4, architecture),
        _instruction(_LOAD, 0, 0, _NUMBER_AT),
        _instruction(_JUMP_AT_LEAST, count + 2, 0, _X32_FROM),
        *checks,
        *ending,
    ]


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("@HBBI", code, if_true, if_false, value)


def _prctl(option: int, value: int, pointer: bytes | None = None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    argument = ctypes.c_ulong(0) if pointer is None else ctypes.c_char_p(pointer)
    if library.prctl(option, ctypes.c_ulong(value), argument, ctypes.c_ulong(0), ctypes.c_ulong(0)):
        reason = os.strerror(ctypes.get_errno())
        message = f"the worker cannot be confined: prctl({option}) failed: {reason}"
        raise SandboxError(message)
