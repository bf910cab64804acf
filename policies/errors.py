"""What can go wrong in this folder: one type per thing the caller should do next."""


class PoliciesError(Exception):
    """The root of this folder's errors; its text says what happened and what to do."""


class KeysUnusableError(PoliciesError):
    """The installation's keys are missing, exposed or damaged: the operator restores them; nothing runs without."""


class PolicyInvalidError(PoliciesError):
    """A policy or schema does not validate: the operator corrects it; it is not loaded."""


class RedactionFailedError(PoliciesError):
    """Personal data could not be looked for: the text must not be used; the caller refuses or retries."""


class TooManyGroupsError(PoliciesError):
    """A principal is in more groups than can be decided on: they are denied; the operator mends the groups."""


class TrailUnavailableError(PoliciesError):
    """The audit trail did not accept an entry: nothing may be answered; the caller retries later."""


class TrailUnreadableError(PoliciesError):
    """The audit trail's file is missing, damaged or none: the operator names the right one or restores it."""


class VaultUnreadableError(PoliciesError):
    """A sealed record does not open: its conversation cannot go on; the user starts a new one."""
