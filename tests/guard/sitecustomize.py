"""Python imports this at its start wherever the folder is on its path: the guard comes before everything else."""

import contextlib
import os
import socket
import sys

VARIABLE = "MUNIMENT_ATTEMPTS"
"""Names the file that attempts are noted in."""
_LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
_CONNECTIONS = {"socket.connect", "socket.sendto", "socket.sendmsg"}
_HERE = {"localhost", "::1", "", "0.0.0.0", "::", "None"}


def text_of(host: object) -> str:
    return host.decode(errors="replace") if isinstance(host, bytes) else str(host)


def is_here(host: object) -> bool:
    """Whether a host is this machine; names other than localhost would be asked for."""
    name = text_of(host)
    return name in _HERE or name.startswith(("127.", "::ffff:127."))


def is_number(host: str) -> bool:
    """Whether a host is an address in some spelling, which nobody is asked about."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host.partition("%")[0])
            return True
    with contextlib.suppress(OSError, ValueError):
        socket.inet_aton(host)
        return True
    return False


def outside(event: str, arguments: tuple[object, ...]) -> str:
    """What an audited event tries to reach outside of this machine; empty where it does not."""
    if event in _LOOK_UPS:
        return "" if is_here(arguments[0]) or is_number(text_of(arguments[0])) else text_of(arguments[0])
    if event in _CONNECTIONS:
        address = arguments[1]
        if isinstance(address, tuple) and address and not is_here(address[0]):
            return str(address[0])
    return ""


def install(path: str) -> None:
    """Note attempts in a file from now on, in this process; cannot be undone, and is done once."""
    if getattr(sys, "muniment_guard", None) == path:
        return
    sys.muniment_guard = path  # type: ignore[attr-defined]

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if not event.startswith("socket."):
            return
        reached = outside(event, arguments)
        if reached:
            line = f"{event} {reached} by {' '.join(sys.argv[:3])} in {os.environ.get('PYTEST_CURRENT_TEST', '-')}\n"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.write(descriptor, line.encode(errors="replace"))
            os.close(descriptor)

    sys.addaudithook(hook)


if os.environ.get(VARIABLE):
    install(os.environ[VARIABLE])
