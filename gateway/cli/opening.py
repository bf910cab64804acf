"""Opening the installation a command works on.

`product` is everything heavy, and loads when it is first used: importing it takes seconds (torch, spaCy, FAISS),
which `muniment --help`, a mistyped option or a missing home should not cost.
"""

import importlib
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from gateway.config import Home, find_home, load_config
from gateway.errors import ConflictError
from policies.principals import Principal

if TYPE_CHECKING:
    from gateway.cli import product as product
    from gateway.cli.product import Services
else:

    class _LoadedWhenUsed:
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("gateway.cli.product"), name)

    product = _LoadedWhenUsed()


def home_of(context: typer.Context) -> Home:
    """The home folder the command line or the environment names."""
    return find_home(context.obj)


@contextmanager
def opened(context: typer.Context) -> "Iterator[Services]":
    """The services of the installation; closed at the end.

    Raises:
        HomeMissingError: There is none. Found out before anything heavy is loaded.
        ConfigurationError: Its settings are wrong.
    """
    home = home_of(context)
    load_config(home)
    with product.Services(home) as services:
        yield services


def acting_as(services: "Services", user: str) -> Principal:
    """The user a command is run for.

    Raises:
        NotFoundError: There is none of this name.
        ConflictError: They are disabled. Whoever may name a user here may know.
    """
    principal = services.users.principal(user)
    if not principal.active:
        message = f"User {user} is disabled and may read nothing."
        raise ConflictError(message)
    return principal


def operating_system_user() -> str:
    """Who runs this process, as the system knows them; environment variables could say anything."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # Containers run as numbers without a name.
        return f"uid-{os.getuid()}"
