"""Reports that are kept: figures alone, each vouched for by a keyed digest, so that none is edited to pass a gate.

A report lies in `evaluations/` of the home, readable by its owner alone. It holds no text of a document, question or
answer and names no user.
"""

import hashlib
import hmac
import logging
import secrets
from pathlib import Path

import msgspec

from gateway.errors import ConfigurationError, ConflictError, NotFoundError
from gateway.evaluation.report import Answers, Report
from gateway.models.versions import ModelVersion
from policies.keys import Keys
from policies.private_files import write_private

_log = logging.getLogger(__name__)
_ABOUT = b"muniment-evaluation-1\n"
_SUFFIX = ".json"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file holds; the digest is over the very bytes of the report, and over its name."""

    mac: str
    report: msgspec.Raw


class StoredReports:
    """The stored reports of one installation."""

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder = folder
        self._key = keys.lasting("evaluation-reports")

    def add(self, report: Report) -> Report:
        """Store a report's figures; returns them with the id they have now.

        Raises:
            ConfigurationError: It cannot be written.
        """
        stored = msgspec.structs.replace(report.figures(), id=_new_id(report))
        content = msgspec.json.encode(stored)
        file = msgspec.json.encode(_File(self._mac(stored.id, content), msgspec.Raw(content)))
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(self._path(stored.id), file)
        except OSError as error:
            message = f"The report cannot be stored in {self._folder}: {error.strerror}. Make room, then try again."
            raise ConfigurationError(message) from error
        return stored

    def open(self, id_: str) -> Report:
        """A stored report.

        Raises:
            NotFoundError: There is none of that id.
            ConflictError: It is not what was stored.
        """
        path = self._path(id_)
        try:
            file = msgspec.json.decode(path.read_bytes(), type=_File)
        except (OSError, ValueError) as error:
            if path.is_file():
                raise _altered(path) from error
            message = f"There is no report {id_[:80]!r}. `muniment eval list` shows all."
            raise NotFoundError(message) from error
        if not hmac.compare_digest(file.mac, self._mac(id_, file.report)):
            raise _altered(path)
        return msgspec.json.decode(file.report, type=Report)

    def listed(self) -> list[Report]:
        """All stored reports, the newest first; what was altered, or is of another version, is left out and logged."""
        reports = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}"), reverse=True):
            try:
                reports.append(self.open(path.name.removesuffix(_SUFFIX)))
            except (ConflictError, msgspec.MsgspecError) as error:
                _log.warning("report_refused path=%s reason=%s", path, error)
        return reports

    def newest_of(self, version: ModelVersion, questions_sha256: str | None = None) -> tuple[Report, Answers] | None:
        """The newest report on exactly this version of a generator, over those questions where some are named."""
        for report in self.listed():
            if questions_sha256 in {None, report.questions_sha256}:
                for answers in report.answers:
                    if (answers.model, answers.sha256) == (version.id, version.sha256):
                        return report, answers
        return None

    def _path(self, id_: str) -> Path:
        return self._folder / f"{Path(id_).name}{_SUFFIX}"

    def _mac(self, id_: str, content: bytes | msgspec.Raw) -> str:
        return hmac.digest(self._key, _ABOUT + id_.encode() + b"\n" + bytes(content), hashlib.sha256).hex()


def _new_id(report: Report) -> str:
    """Sorted by time, and of its own."""
    return f"{report.started_at:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def _altered(path: Path) -> ConflictError:
    return ConflictError(f"{path} is not what was stored, and counts for nothing. Run `muniment eval` again.")
