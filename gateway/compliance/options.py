"""What only the organisation knows of its processing, as the record of processing says it."""

import msgspec


class ComplianceOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the record of processing says of the organisation; `muniment compliance record` makes it (GDPR, article 30).

    `controller`, `joint_controller`, `representative` and `data_protection_officer` are names with contact details.
    `purposes` are what people ask their questions for; `legal_basis` is the ground in law. `data_subjects` and
    `recipients` are categories besides those that follow from the installation, `transfers` are to third countries,
    with their safeguards, and `measures` are those of the organisation. `backups_kept` is how long backups are kept, in
    words.
    """

    controller: str = ""
    joint_controller: str = ""
    representative: str = ""
    data_protection_officer: str = ""
    purposes: tuple[str, ...] = ()
    legal_basis: str = ""
    data_subjects: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    transfers: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    backups_kept: str = ""


ASKED_FOR = ("controller", "data_protection_officer", "purposes", "legal_basis", "backups_kept")
"""Settings without which a record says too little; the others may truly be empty."""
