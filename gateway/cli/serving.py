"""`serve`: the gateway over HTTP."""

import signal
import socket
from contextlib import ExitStack, suppress
from importlib.metadata import version
from typing import Annotated

import msgspec
import typer

from gateway.cli.opening import opened, operating_system_user, product
from gateway.cli.output import tell
from gateway.config import is_loopback
from gateway.errors import ConfigurationError
from policies.errors import TrailUnavailableError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)


def serve(
    context: typer.Context,
    *,
    host: Annotated[str | None, typer.Option(help="The address to listen on; else server.host.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="The port; else server.port; 0 takes any.")] = None,
    expose: Annotated[
        bool, typer.Option("--expose", help="Let --host be an address others can reach. Put TLS in front.")
    ] = False,
) -> None:
    """Serve the HTTP interface until stopped. Running answers may end first."""
    with opened(context) as services:
        configured = services.config.server
        if host is not None and host != configured.host and not (expose or is_loopback(host)):
            message = (
                f"{host} is not an address that only this machine can reach, and what is served is not encrypted. Use "
                f"127.0.0.1; or, once TLS stands in front of it, set server.host in {services.home.config_file} or add "
                "--expose."
            )
            raise ConfigurationError(message)
        options = msgspec.structs.replace(
            configured, host=host or configured.host, port=configured.port if port is None else port
        )
        app = product.create_app(services, options)
        with _listen(options.host, options.port) as listening:
            tell(f"Muniment listens on {_address(listening)}. Stop it with Ctrl-C.")
            # After its own clean-up uvicorn sends the process the signal again; it has done its work by then.
            signal.signal(signal.SIGTERM, lambda *_: None)
            by = operating_system_user()
            services.recorder.record_now(product.ServiceStarted(by=by, version=version("muniment")))
            with suppress(KeyboardInterrupt):
                product.Server(product.server_config(app, options)).run(sockets=[listening])
            with suppress(TrailUnavailableError):  # It stops in any case.
                services.recorder.record_now(product.ServiceStopped(by=by))
    tell("Stopped.")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, made here so that an address in use is one sentence and port 0 is known.

    Raises:
        ConfigurationError: The address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with ExitStack() as unless_it_works:
            made = unless_it_works.enter_context(socket.socket(family, kind, protocol))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen()
            unless_it_works.pop_all()
    except OSError as error:
        message = f"Port {port} of {host} cannot be had: {error.strerror}. Choose another with --host or --port."
        raise ConfigurationError(message) from error
    return made


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
