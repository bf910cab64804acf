"""The record of processing that GDPR, article 30, asks for: what follows from an installation, and what is to be added.

Counts and names of groups, sources and hosts; no person is named but those whom the settings name.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version

import msgspec

from gateway.compliance.measures import BUILT_IN, Measure
from gateway.compliance.options import ASKED_FOR, ComplianceOptions
from gateway.config import Config
from gateway.doctor import destinations
from gateway.policy.ordinary import shown_to_ordinary_readers
from gateway.services import Services
from policies.actions import Action
from policies.audit.classes import EntryClass
from policies.principals import Principal


class DataCategory(msgspec.Struct, frozen=True):
    """A kind of personal data that is recognised, and who sees it unmasked, by which rules."""

    type: str
    sensitivity: str
    model_sees: bool
    ordinary_readers_see: bool
    rules: tuple[str, ...]


class Said(msgspec.Struct, frozen=True):
    """Something the record says: what it is about, and what is so."""

    about: str
    what: str


class Record(msgspec.Struct, frozen=True):
    """A record of processing; the letters of article 30(1) stand at the fields.

    (a) `organisation`, (b) `purposes` and `legal_basis`, (c) `data_subjects` and `personal_data`, (d) `recipients`,
    (e) `transfers`, (f) `retention`, (g) `measures`. `revealing_rules` are all rules that can show masked data.
    `to_be_filled_in` names settings that are empty and should not be.
    """

    made_at: str
    version: str
    organisation: tuple[Said, ...]
    purposes: tuple[str, ...]
    legal_basis: str
    data_subjects: tuple[Said, ...]
    personal_data: tuple[DataCategory, ...]
    revealing_rules: tuple[Said, ...]
    recipients: tuple[Said, ...]
    transfers: tuple[Said, ...]
    retention: tuple[Said, ...]
    measures: tuple[Measure, ...]
    to_be_filled_in: tuple[str, ...]


_SENT = (
    "on another machine: gets questions, and passages that policies let be sent (models:send-remote), with personal "
    "data replaced by placeholders"
)
_SERVED_HERE = "by a server on this machine: questions and documents do not leave it"


def make_record(services: Services) -> Record:
    """The record as the settings, policies, users and sources of an installation are now."""
    said = services.config.compliance
    users = services.users.listed()
    return Record(
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=version("muniment"),
        organisation=tuple(_organisation(said)),
        purposes=said.purposes,
        legal_basis=said.legal_basis,
        data_subjects=tuple(_data_subjects(said, users)),
        personal_data=tuple(_personal_data(services)),
        revealing_rules=tuple(_revealing_rules(services)),
        recipients=tuple(_recipients(services, users)),
        transfers=tuple(_transfers(services.config)),
        retention=tuple(_retention(services.config)),
        measures=(*BUILT_IN, *_chosen_measures(services.config)),
        to_be_filled_in=tuple(f"compliance.{name}" for name in ASKED_FOR if not getattr(said, name)),
    )


def _organisation(said: ComplianceOptions) -> Iterator[Said]:
    for name in ("controller", "joint_controller", "representative", "data_protection_officer"):
        if value := getattr(said, name):
            yield Said(name.replace("_", " "), value)


def _data_subjects(said: ComplianceOptions, users: list[Principal]) -> Iterator[Said]:
    yield Said("users", f"{sum(user.active for user in users)} people and programs who may ask, {len(users)} in all")
    yield Said("people in documents", "whoever is named in documents of the sources, or in a question")
    yield from (Said("further", name) for name in said.data_subjects)


def _personal_data(services: Services) -> Iterator[DataCategory]:
    types = services.site_redaction.types
    shown = shown_to_ordinary_readers(services.authorizer, list(types))
    for kind in sorted(types):
        decision = shown[kind]
        yield DataCategory(
            type=str(kind),
            sensitivity=types.sensitivity(kind).value,
            model_sees=False,
            ordinary_readers_see=decision.allowed,
            rules=decision.policies,
        )


def _revealing_rules(services: Services) -> Iterator[Said]:
    for rule in services.authorizer.latest().rules:
        if rule.concerns(Action.PERSONAL_DATA_REVEAL):
            yield Said(rule.id, f"{rule.effect.value} ({rule.origin.value}): {rule.reason}")


def _recipients(services: Services, users: list[Principal]) -> Iterator[Said]:
    """Who is shown personal data: people by role, through groups; and what documents come from."""
    roles = Counter(role.value for user in users if user.active for role in user.roles)
    yield from (Said(f"role {role}", f"{count} active users") for role, count in sorted(roles.items()))
    yield Said("groups", f"{len(services.groups.listed())} groups, which labels of documents name")
    for export in services.config.audit.exports:
        people = "with people's names" if export.names else "with tokens in the place of people"
        yield Said(f"export {export.name}", f"entries of the audit trail, {people}")
    for source in services.sources.listed():
        yield Said(f"source {source.name}", f"{source.documents} documents, read with the connector {source.type}")
    yield from (Said("further", name) for name in services.config.compliance.recipients)


def _transfers(config: Config) -> Iterator[Said]:
    """Where anything is sent, by host."""
    for name in config.models.generators:
        yield Said("language model", f"{name}, on this machine: questions and documents do not leave it")
    for upstream in config.models.upstreams:
        yield Said("language model", f"{upstream.name}, {_SENT if upstream.remote else _SERVED_HERE}")
    for what, addresses in destinations(config):
        yield Said(what.replace("`", ""), ", ".join(addresses))
    yield from (Said("third country", name) for name in config.compliance.transfers)


def _retention(config: Config) -> Iterator[Said]:
    yield Said("documents", "as long as they are in their source; a sync takes out what is gone there")
    yield Said("conversations", "until they are erased")
    yield Said("answers in memory", f"{config.answers.remembered_seconds} seconds")
    yield Said(
        "sessions", f"{config.sign_in.session_hours} hours, {config.sign_in.idle_minutes} minutes without a request"
    )
    kept = config.audit.texts_kept_days
    yield Said("texts of questions and answers", f"{kept} days, sealed, for investigations" if kept else "not kept")
    days = config.audit.retention.days
    for class_ in (EntryClass.QUESTIONS, EntryClass.ACCESS, EntryClass.ADMINISTRATION):
        yield Said(f"audit trail, {class_.value}", f"{days[class_]} days" if class_ in days else "not removed")
    yield Said("backups", config.compliance.backups_kept or "to be filled in")


def _chosen_measures(config: Config) -> Iterator[Measure]:
    """What of this installation's settings is a measure, and what the organisation says of itself."""
    copied = ", ".join(sink.name for sink in config.audit.all_copies)
    yield Measure(
        "copies of checkpoints", f"They are copied to {copied}." if copied else "They are not copied anywhere."
    )
    yield Measure(
        "signing in",
        f"Single sign-on through {config.oidc.issuer}." if config.oidc.issuer else "Passwords, hashed with Argon2id.",
    )
    yield from (Measure("organisation", text) for text in config.compliance.measures)
