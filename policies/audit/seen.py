"""What an installation wrote last, kept beside its trail: so that a database restored from yesterday is noticed.

This is for accidents. Who can change the trail may well be able to change this file, too; against them there are the
checkpoints that somebody else keeps.
"""

from pathlib import Path

from policies.audit.checkpoints import SignedCheckpoint, last_exported
from policies.audit.storage import Selecting
from policies.errors import TrailUnavailableError
from policies.private_files import replace_private

_GO_ON = (
    "Nothing is answered until a newer copy is restored, or until `muniment audit go-on` accepts the loss and says so "
    "in the trail."
)


class SeenFile:
    """The newest checkpoint that an installation has seen in its trail."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self) -> SignedCheckpoint | None:
        """The checkpoint; None where there was none, or where the file was lost."""
        try:
            return last_exported(self._path)
        except OSError:
            return None

    def require_in(self, trail: Selecting) -> None:
        """Refuse a trail that lacks what was written to it.

        Raises:
            StorageError: The trail cannot be read.
            TrailUnavailableError: It is older than it was, or is another one.
        """
        seen = self.newest()
        if seen is None:
            return
        said = seen.checkpoint
        if said.log != trail.log:
            message = f"The audit trail is {trail.log}, and this installation wrote to {said.log} before. {_GO_ON}"
            raise TrailUnavailableError(message)
        query = "SELECT body FROM checkpoints WHERE number = :number"
        if trail.select(query, {"number": said.number}) != [(seen.body,)]:
            [(last,)] = trail.select("SELECT coalesce(max(id), 0) FROM entries")
            lost = f"entries {last + 1} to {said.count}" if last < said.count else "what was signed then"
            message = (
                f"The audit trail is older than this installation: it lacks checkpoint {said.number} of {said.at}, and "
                f"with it {lost}. {_GO_ON}"
            )
            raise TrailUnavailableError(message)

    def note(self, signed: SignedCheckpoint) -> None:
        """Keep a checkpoint, unless a newer one of the same trail is kept already.

        Raises:
            OSError: It cannot be written.
        """
        seen = self.newest()
        if seen and seen.checkpoint.log == signed.checkpoint.log and seen.checkpoint.number >= signed.checkpoint.number:
            return
        replace_private(self._path, f"{signed.line()}\n".encode())

    def forget(self) -> None:
        """Take the trail as it is from now on."""
        self._path.unlink(missing_ok=True)
