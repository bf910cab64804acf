"""Where an installation's trail is, as its settings say: a file in its home, or a schema of a PostgreSQL database."""

import re
from pathlib import Path
from urllib.parse import unquote

from gateway.config import AuditOptions, Home, read_setting
from gateway.errors import ConfigurationError
from policies.audit.places import PostgresPlace, TrailPlace

_ADDRESS = re.compile(
    r"postgresql://(?P<user>[^:@/?#]+)@(?P<host>\[[0-9A-Fa-f:.]+\]|[^:@/?#\[\]]+)(?::(?P<port>\d{1,5}))?/(?P<database>[^/?#]+)"
)
_PORT = "5432"


def trail_place(home: Home, options: AuditOptions) -> TrailPlace:
    """Where the trail is.

    Raises:
        ConfigurationError: The address is none, or the password cannot be read.
    """
    if not options.database:
        return home.trail
    name = options.database_password_file
    return postgres_place(options.database, options, read_password(home.keys / name) if name else "")


def owned_trail_place(home: Home, options: AuditOptions) -> TrailPlace:
    """The trail as its owner reaches it, who alone may remove what entries say; a file has no other owner.

    Raises:
        ConfigurationError: As above, or no owner is named.
    """
    if not options.database:
        return home.trail
    owner = options.retention
    if not owner.database:
        message = (
            "The role that writes the trail may not remove what entries say. Name the one that may in "
            "audit.retention.database, or keep everything for good."
        )
        raise ConfigurationError(message)
    name = owner.database_password_file
    return postgres_place(owner.database, options, read_password(home.keys / name) if name else "", as_owner=True)


def postgres_place(address: str, options: AuditOptions, password: str, *, as_owner: bool = False) -> PostgresPlace:
    """A trail at an address of the form `postgresql://user@host:port/database`.

    Raises:
        ConfigurationError: It is none.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        message = (
            "audit.database is not of the form postgresql://user@host/database. The host may be a Unix socket's folder "
            "with %2F for each slash; a password goes into audit.database_password_file."
        )
        raise ConfigurationError(message)
    return PostgresPlace(
        host=unquote(found["host"]).strip("[]"),
        port=int(found["port"] or _PORT),
        database=unquote(found["database"]),
        user=unquote(found["user"]),
        password=password,
        schema=options.database_schema,
        certificates=options.database_certificates,
        seconds=options.deadline_seconds,
        as_owner=as_owner,
    )


def read_password(path: Path) -> str:
    """The password in a file.

    Raises:
        ConfigurationError: It cannot be read, or others can read it.
    """
    return read_setting(path, "trail's password")
