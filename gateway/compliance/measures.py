"""The measures of security that the product takes by itself, each with the test that fails without it.

`tests/gateway/compliance/test_record.py` looks for the tests, and for each of them in `docs/compliance.md`.
"""

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """A technical measure (GDPR, article 32): what is done, and the test that shows it; none where it is a setting."""

    about: str
    measure: str
    test: str = ""


BUILT_IN = (
    Measure(
        "access",
        "Each person finds only what they may read, decided for every passage before the search and after it.",
        "tests/access/test_nothing_forbidden_is_found.py::test_nothing_forbidden_is_found_and_nothing_allowed_is_missing",
    ),
    Measure(
        "pseudonymisation",
        "Personal data is replaced before the language model sees it; logs, metrics and the trail hold none.",
        "tests/gateway/test_canaries.py::test_canaries_are_found_nowhere_outside",
    ),
    Measure(
        "encryption",
        "Conversations are sealed with AES-256-GCM under keys of their own.",
        "tests/policies/redaction/test_vault.py::test_another_place_does_not_open_it",
    ),
    Measure(
        "accountability",
        "No answer leaves before the question stands in a trail that shows every alteration.",
        "tests/gateway/chat/test_service.py::test_intent_precedes_everything_and_the_outcome_follows",
    ),
    Measure(
        "integrity",
        "The trail is signed, and alterations are found and located.",
        "tests/policies/test_audit_verifier.py::test_random_tamperings_of_random_trails_are_all_found",
    ),
    Measure(
        "separation of duties",
        "Nobody is both auditor and operator.",
        "tests/gateway/identity/test_roles.py::test_nobody_is_both_auditor_and_operator",
    ),
    Measure(
        "no transfer",
        "Nothing connects to a host that the settings do not name.",
        "tests/policies/test_egress.py::test_each_hop_is_looked_at",
    ),
    Measure(
        "availability",
        "Backups are encrypted, made while the service runs, and refused when anything of them was altered.",
        "tests/gateway/backup/test_sealed.py::test_every_alteration_is_refused",
    ),
)
"""In the order in which they are told."""
