"""The settings of places that the trail and its checkpoints are sent to.

`name` says which place it is in logs, metrics and files; `deadline_seconds` is for one delivery as a whole. With
`names` people are called by their names in what is sent, which nobody can erase there; else by the trail's tokens.
"""

from typing import Annotated

import msgspec

from policies.audit.formats import Format

Name = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=600)]
_Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]


class FileSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="file"):
    """A file that lines are added to, on another volume. It may be moved away at any time and is then begun anew."""

    name: Name
    path: Annotated[str, msgspec.Meta(min_length=1)]


class SyslogSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="syslog"):
    """A syslog server: messages of RFC 5424, counted (RFC 6587), over TLS (RFC 5425) unless `tls` is off.

    `ca_file` holds the certificates that the server's is checked against; without it the system's are used.
    `certificate_file` and `key_file` are shown to servers that ask for one. Of files of keys, names are looked for in
    `keys/`. Records of more than `most_bytes` are sent without their details.
    """

    name: Name
    host: Annotated[str, msgspec.Meta(min_length=1)]
    port: _Port = 6514
    tls: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    most_bytes: Annotated[int, msgspec.Meta(ge=2048)] = 8192
    deadline_seconds: _Seconds = 10.0


class HttpSink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="http"):
    """An address that lines are posted to; any 2xx says that it has taken them.

    `token_file` is a name in `keys/` or a whole path; what it holds is sent as `Authorization: Bearer ...`, or with
    another `token_scheme`. Certificates as with syslog.
    """

    name: Name
    url: Annotated[str, msgspec.Meta(pattern="^https?://[^/@]+(/.*)?$")]
    token_file: str = ""
    token_scheme: Annotated[str, msgspec.Meta(pattern="^[A-Za-z][A-Za-z0-9-]*$")] = "Bearer"  # noqa: S105 - a word
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    deadline_seconds: _Seconds = 10.0


Sink = FileSink | SyslogSink | HttpSink
"""A place that checkpoints are copied to."""


class FileExport(FileSink, frozen=True, kw_only=True, tag="file"):
    """Entries go to a file."""

    format: Format = Format.JSON
    names: bool = False


class SyslogExport(SyslogSink, frozen=True, kw_only=True, tag="syslog"):
    """Entries go to a syslog server."""

    format: Format = Format.JSON
    names: bool = False


class HttpExport(HttpSink, frozen=True, kw_only=True, tag="http"):
    """Entries go to an address."""

    format: Format = Format.JSON
    names: bool = False


Export = FileExport | SyslogExport | HttpExport
"""A place that entries are sent to."""
