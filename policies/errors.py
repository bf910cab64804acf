"""What can go wrong in this folder: one type per thing the caller should do next."""


class PoliciesError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class DeliveryFailedError(PoliciesError):
    """Another place did not take what was sent to it: it is sent again later; `retry_seconds` is what it asked for."""

    def __init__(self, message: str = "", retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class EgressRefusedError(PoliciesError):
    """A connection leads where nothing may connect: the operator corrects the host that is named; it was not made."""


class ErasedValueError(PoliciesError):
    """A value of somebody to be erased cannot be looked for: the operator writes more of it; nothing was erased."""


class KeysUnusableError(PoliciesError):
    """The installation's keys are missing, exposed or damaged: the operator restores them; nothing runs without."""


class SecretUnusableError(PoliciesError):
    """A file that an operator put a secret into is missing, exposed or holds none: the operator mends it."""


class PolicyInvalidError(PoliciesError):
    """A policy or schema does not validate: the operator corrects it; it is not loaded. `problems` lists all."""

    def __init__(self, message: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PositionUnreadableError(PoliciesError):
    """How far another place was sent to is not known: the operator restores it, or has it begin again."""


class RedactionFailedError(PoliciesError):
    """Personal data could not be looked for: the text must not be used; the caller refuses or retries."""


class RedactionSettingsError(PoliciesError):
    """What a site's settings say of redaction cannot be used: the operator corrects it; nothing starts before."""


class StampRefusedError(PoliciesError):
    """A time stamp was not given, or does not hold: it is asked for again later, or not relied on."""


class TextTooLongError(RedactionFailedError):
    """A text is longer than is ever searched for personal data: it is split or left out; trying again is of no use."""


class TooManyGroupsError(PoliciesError):
    """A principal is in more groups than can be decided on: they are denied; the operator mends the groups."""


class TrailContradictsError(PoliciesError):
    """The audit trail is not the one that another place was sent: the operator finds out why; nothing is sent."""


class TrailUnavailableError(PoliciesError):
    """The audit trail did not accept an entry: nothing may be answered; the caller retries later."""


class CopyOverdueError(TrailUnavailableError):
    """No other place took a checkpoint for longer than is allowed: nothing is answered until one does."""


class SignerUnavailableError(TrailUnavailableError):
    """Whoever holds the signing key cannot be asked, or refuses: nothing may be answered; the caller retries later."""


class SignatureRefusedError(SignerUnavailableError):
    """A signer signed another checkpoint in this one's place, `last` as a line: that one belongs into the trail."""

    def __init__(self, message: str, last: str) -> None:
        super().__init__(message)
        self.last = last


class TrailUnreadableError(PoliciesError):
    """The audit trail's file is missing, damaged or none: the operator names the right one or restores it."""


class TrailUnwritableError(PoliciesError):
    """A copy of the trail cannot be written where it should be: the operator names another file, or makes room."""


class VaultUnreadableError(PoliciesError):
    """A sealed record does not open: its conversation cannot go on; the user starts a new one."""
