"""What a policy said, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """Allowed or not, with the reason people read and the policies that determined it.

    `policies` holds the `@id` annotations of the determining Cedar policies, sorted; it is empty when nothing matched.
    `failed` says that the denial comes from an error and not from a rule: somebody should look at it.
    """

    allowed: bool
    reason: str
    policies: tuple[str, ...] = ()
    failed: bool = False
