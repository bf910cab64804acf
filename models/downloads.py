"""Model files from a mirror (a folder or a web server) and from a model hub.

A mirror is laid out like the models folder itself, `<model id>/<file>`, so one machine's folder serves the others.
"""

import urllib.parse
from collections.abc import Collection, Iterator
from pathlib import Path

from models.catalogue import Artefact, Hub, ModelFile
from models.errors import PullFailedError
from policies import egress

_BLOCK_BYTES = 1 << 20
_REDIRECTS = 5
_TIMEOUT = egress.Timeout(60.0, connect=15.0)


class FolderMirror:
    """Reads the files of a model from a folder on this machine."""

    scratch_bytes = 0

    def __init__(self, folder: Path, artefact: Artefact) -> None:
        self._folder = folder / artefact.id
        self.name = f"the mirror {folder}"

    def read(self, file: ModelFile, offset: int) -> Iterator[bytes]:
        """The file's bytes from an offset on.

        Raises:
            PullFailedError: The mirror does not hold it.
        """
        path = self._folder / file.path
        try:
            with path.open("rb") as opened:
                opened.seek(offset)
                while block := opened.read(_BLOCK_BYTES):
                    yield block
        except OSError as error:
            message = f"{path} cannot be read: {error.strerror}"
            raise PullFailedError(message) from error

    def close(self) -> None:
        """Nothing is kept between files."""


class WebReader:
    """Reads the files of a model from a web server, going on where an earlier download stopped.

    Plain http is taken only from the host of a mirror that the operator named so. Redirects lead to `hosts` at most,
    besides the server itself.
    """

    scratch_bytes = 0

    def __init__(self, base: str, hosts: Collection[str] = (), *, plain_http: bool = False) -> None:
        self._base = base if base.endswith("/") else f"{base}/"
        named = urllib.parse.urlsplit(base)
        self._trusted_host = named.hostname if plain_http and named.scheme == "http" else None
        self._client = egress.open_client(
            {egress.host_of(base), *hosts}, _TIMEOUT, redirects=_REDIRECTS, before=[self._check_address]
        )
        self.name = self._base

    def read(self, file: ModelFile, offset: int) -> Iterator[bytes]:
        """The file's bytes from an offset on.

        Raises:
            PullFailedError: The server does not give it.
        """
        address = self._base + urllib.parse.quote(file.path)
        # Bytes as they are: a compressed transfer would make ranges mean something else.
        headers = {"accept-encoding": "identity"} | ({"range": f"bytes={offset}-"} if offset else {})
        try:
            with self._client.stream("GET", address, headers=headers) as answer:
                answer.raise_for_status()
                skip = 0 if _starts_at(answer, offset) else offset
                for block in answer.iter_raw(_BLOCK_BYTES):
                    if len(block) > skip:
                        yield block[skip:]
                    skip = max(0, skip - len(block))
        except (egress.HTTPError, egress.InvalidURL) as error:
            message = f"{address} cannot be fetched: {error or type(error).__name__}"
            raise PullFailedError(message) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _check_address(self, request: egress.Request) -> None:
        if request.url.scheme != "https" and request.url.host != self._trusted_host:
            message = f"{request.url.copy_with(query=None)} is not https, so nothing is fetched from it"
            raise PullFailedError(message)


def mirror_reader(mirror: str, hosts: Collection[str], artefact: Artefact) -> FolderMirror | WebReader:
    """The reader of what an operator configured as mirror: a folder, or an http(s) address that leads to `hosts`."""
    if mirror.startswith(("http://", "https://")):
        base = mirror if mirror.endswith("/") else f"{mirror}/"
        return WebReader(f"{base}{artefact.id}/", hosts, plain_http=True)
    return FolderMirror(Path(mirror), artefact)


def hub_reader(hub: Hub, hosts: Collection[str] = ()) -> WebReader:
    """The reader of a model hub."""
    return WebReader(hub.url, {*hub.hosts, *hosts})


def _starts_at(answer: egress.Response, offset: int) -> bool:
    """Whether the answer begins at the offset asked for; a server may ignore the range and send all."""
    return answer.headers.get("content-range", "").startswith(f"bytes {offset}-") if offset else True
