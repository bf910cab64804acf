"""What the trail records: one dataclass per event, its docstring is its documentation.

Identifiers, digests, rules and counts; never the text of a question, a passage or an answer, never a key. Fields hold
text, whole numbers, booleans, and sequences or mappings of these; no fractions, which languages spell differently.

Fields of the same name mean the same: `request` ties together what belongs to one request, `principal` is who acted,
`by` is who administered, `user` is whom it concerned. Those are what the trail can be searched by.

A field that holds somebody's name has the type `Person`, or `Owners`: entries hold a random token in its place (see
`people.py`), so that a name can be erased and the trail stays as it was signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

Person = Annotated[str, "person"]
"""Somebody's name: a user's, or of a user of the operating system. Empty where there is nobody."""
Owners = Annotated[tuple[str, ...], "owners"]
"""Each `user:` or `group:` with a name; those after `user:` are somebody's."""


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """Somebody is about to get an answer. Durable before the first word of it leaves.

    `channel` is how it came (`cli`, `http`), `network` the name of the network it came from; `os_user` is the
    operating-system user who asked in another's name with `--as`; `question_hmac` is a keyed digest: an investigator
    who has the key can test a suspected text.
    """

    kind: ClassVar[str] = "question:asked"
    request: str
    principal: Person
    channel: str
    question_hmac: str
    model: str
    policy_revision: str
    os_user: Person = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class SearchAsked:
    """Somebody is about to get passages. Durable before the first of them leaves; fields as in `QuestionAsked`."""

    kind: ClassVar[str] = "search:asked"
    request: str
    principal: Person
    channel: str
    query_hmac: str
    policy_revision: str
    os_user: Person = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class EmbeddingsMade:
    """Somebody gets vectors of `texts` they sent, of so many `tokens` in all; nothing of the documents is in them."""

    kind: ClassVar[str] = "embeddings:made"
    request: str
    principal: Person
    channel: str
    model: str
    texts: int
    tokens: int
    network: str = ""


@dataclass(frozen=True, slots=True)
class LabelsDecided:
    """Which labels were allowed and which denied, each with the rules that say so; searches name it by `access_sha256`.

    `labels` and `decisions` name the same labels in the same order; a decision is `allowed` or `denied` with its rules,
    `denied` alone where no rule allows, `denied stale` where a source's permissions were too old, `denied error` where
    it could not be decided. Written once for all who get the same decisions, again after a day and by each process;
    many labels are written in several `parts`.
    """

    kind: ClassVar[str] = "labels:decided"
    access_sha256: str
    policy_revision: str
    labels: tuple[str, ...]
    decisions: tuple[str, ...]
    part: int = 1
    parts: int = 1


@dataclass(frozen=True, slots=True)
class PassagesRetrieved:
    """Which passages a search found for somebody, and the rules that let them through.

    `passages`, `documents` and `labels` name the same passages in the same order: the digest of the passage, the id of
    its document, the digest of the label it was allowed under. Counts are of distinct labels; which they are, and by
    which rules each was allowed or denied, is in the `labels:decided` of the same `access_sha256`.
    """

    kind: ClassVar[str] = "passages:retrieved"
    request: str
    epoch: int
    policy_revision: str
    labels_allowed: int
    labels_denied: int
    passages: tuple[str, ...]
    documents: tuple[str, ...]
    labels: tuple[str, ...]
    policies: tuple[str, ...]
    decisions_sha256: str
    access_sha256: str = ""


@dataclass(frozen=True, slots=True)
class PassagesSent:
    """Passages are about to be sent to a model on another machine, and others stay here. Durable before any is sent.

    `passages` and `labels` name what is sent, in the same order: the digest of the passage and of its label; `policies`
    are the rules that let it. `kept`, `kept_labels` and `kept_decisions` name likewise what was found and must not be
    sent, each with `denied` and the rules that say so, `denied` alone where no rule allows it. Where nothing is sent
    since a model of this machine answers instead, that is `stand_in`.
    """

    kind: ClassVar[str] = "passages:sent"
    request: str
    model: str
    policy_revision: str
    passages: tuple[str, ...]
    labels: tuple[str, ...]
    policies: tuple[str, ...]
    kept: tuple[str, ...]
    kept_labels: tuple[str, ...]
    kept_decisions: tuple[str, ...]
    stand_in: str = ""


@dataclass(frozen=True, slots=True)
class PersonalDataRevealed:
    """Personal data of documents under one label is about to be shown. Durable before any of it leaves.

    `revealed` counts the values by their type, `label` is the label's digest, `policies` are the rules that show these
    types to this principal for this purpose. Values that the principal typed are not counted.
    """

    kind: ClassVar[str] = "personal-data:revealed"
    request: str
    principal: Person
    purpose: str
    label: str
    revealed: Mapping[str, int]
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """An answer was complete, and left after this was durable.

    `cited` are ids of documents; `redactions` counts what was replaced, by type; the digests are of the text that left
    and of its signed receipt. `passages` are the digests of those that the model was given, of all that were retrieved.
    """

    kind: ClassVar[str] = "answer:given"
    request: str
    abstained: bool
    cited: tuple[str, ...]
    redactions: Mapping[str, int]
    output_sha256: str
    receipt_sha256: str
    passages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """A question got no answer, or not the whole of it; `error` is the name of the error, not its text."""

    kind: ClassVar[str] = "answer:failed"
    request: str
    error: str


@dataclass(frozen=True, slots=True)
class AnswerUnknown:
    """A process was gone before it had recorded how a question ended; found by the next that opened the trail.

    No answer leaves before its outcome is recorded, so none was given; `principal` was told nothing, or an error.
    """

    kind: ClassVar[str] = "answer:unknown"
    request: str
    principal: Person


@dataclass(frozen=True, slots=True)
class ConversationRead:
    """Somebody is about to see a stored conversation of theirs again, with this many `messages`.

    What its answers showed was recorded when they were given.
    """

    kind: ClassVar[str] = "conversation:read"
    request: str
    principal: Person
    conversation: str
    messages: int


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """Somebody was refused an action; `reason` and `policies` are those of the decision.

    `source` is what it was about, where that is decided for each source.
    """

    kind: ClassVar[str] = "access:denied"
    principal: Person
    action: str
    reason: str
    policies: tuple[str, ...] = ()
    request: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class SignInFailed:
    """Credentials were not accepted.

    `reason` is one of a few words such as `unknown`, `wrong`, `revoked`, `expired`, `locked` or `disabled`; `method` is
    `key`, `session`, `password` or `oidc`. `key_id` is the public part of a key that is known, `user` the user's name
    where there is such a user: what was typed there otherwise may be a password. `address_hmac` is a keyed digest of
    where it came from: it ties attempts together, and an investigator can test a suspected address.
    """

    kind: ClassVar[str] = "sign-in:failed"
    channel: str
    reason: str
    key_id: str = ""
    method: str = "key"
    user: Person = ""
    address_hmac: str = ""


@dataclass(frozen=True, slots=True)
class SignInLocked:
    """So many sign-ins in a row failed that none is accepted for a while; `seconds` 0 is until an operator unlocks."""

    kind: ClassVar[str] = "sign-in:locked"
    user: Person
    failures: int
    seconds: int


@dataclass(frozen=True, slots=True)
class SessionBegun:
    """Somebody signed in; `method` is `password` or `oidc`, `issuer` the provider that vouched for them."""

    kind: ClassVar[str] = "session:begun"
    principal: Person
    session: str
    method: str
    issuer: str = ""


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session was ended before its time.

    `reason` is `signed-out`, `signed-in-again`, `ended` (from the list of sessions), `password-changed`,
    `back-channel` (the provider said so), `replayed` (an old cookie came back: it was copied) or `not-begun` (something
    failed after it was announced).
    """

    kind: ClassVar[str] = "session:ended"
    by: Person
    user: Person
    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class HomeCreated:
    """An installation began: this operating-system user made its keys, with this version of the product."""

    kind: ClassVar[str] = "home:created"
    by: Person
    version: str


@dataclass(frozen=True, slots=True)
class HomePartsMade:
    """Parts of an installation were missing and made anew, empty: `database`, `trail` or both.

    What stood in them before is gone from here; a trail that begins with this entry followed another one.
    """

    kind: ClassVar[str] = "home:parts-made"
    by: Person
    parts: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class BackupMade:
    """A backup of everything is about to be there; durable before the file has its name.

    `backup` is the file's id, `entries` how many entries of the trail are in it, `with_keys` whether the keys are.
    """

    kind: ClassVar[str] = "backup:made"
    by: Person
    backup: str
    entries: int
    with_keys: bool


@dataclass(frozen=True, slots=True)
class BackupRestored:
    """From here on this is an installation made of a backup; the trail goes on behind entry number `entries`.

    `made_at` is when the backup was made, in UTC. `entries_missing` are entries that a checkpoint kept elsewhere counts
    and the backup lacks; 0 also where no such checkpoint was named. `ledger` is whether a newer ledger of erasures was
    named, `erasures` how many were made again, `sessions_ended` how many were signed in.
    """

    kind: ClassVar[str] = "backup:restored"
    by: Person
    backup: str
    made_at: str
    entries: int
    entries_missing: int
    ledger: bool
    erasures: int
    sessions_ended: int


@dataclass(frozen=True, slots=True)
class SourceAdded:
    """A source was configured; `type` names its connector; 0 seconds mean that its permissions never grow too old."""

    kind: ClassVar[str] = "source:added"
    by: Person
    source: str
    type: str
    max_acl_age_seconds: int = 0


@dataclass(frozen=True, slots=True)
class SourceOwnersChanged:
    """A source has other owners from now on; each is `user:` or `group:` with a name."""

    kind: ClassVar[str] = "source:owners-changed"
    by: Person
    source: str
    added: Owners
    removed: Owners


@dataclass(frozen=True, slots=True)
class SourceRemoved:
    """A source and all its documents are being taken out."""

    kind: ClassVar[str] = "source:removed"
    by: Person
    source: str


@dataclass(frozen=True, slots=True)
class SyncStarted:
    """A run over a source is about to read it; without an end in the trail, it was killed and may have changed much."""

    kind: ClassVar[str] = "sync:started"
    by: Person
    source: str


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """A run over a source ended; counts are of documents, `epoch` is the state that it left.

    `flags` counts the passages that are odd, of those that were new or changed, by what is odd about them.
    """

    kind: ClassVar[str] = "sync:finished"
    by: Person
    source: str
    upserted: int
    relabelled: int
    deleted: int
    skipped: int
    epoch: int
    flags: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class DocumentsChanged:
    """A run over a source changed these documents: their text, new ones included, their label, or took them out.

    `change` is `changed`, `relabelled` or `deleted`; `more` counts further ones that are not named.
    """

    kind: ClassVar[str] = "documents:changed"
    by: Person
    source: str
    change: str
    documents: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class LabelsChanged:
    """A run over a source gave documents other labels: how many went from which to which, by the labels' digests.

    `labels_before`, `labels` and `counts` belong together in their order; empty stands for a document that is new, or
    gone. `more` counts documents that went ways which are not named. Labels of parts of documents are not told.
    """

    kind: ClassVar[str] = "labels:changed"
    by: Person
    source: str
    labels_before: tuple[str, ...]
    labels: tuple[str, ...]
    counts: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """A run over a source broke off; what it had committed stands. `error` is the name of the error, not its text."""

    kind: ClassVar[str] = "sync:failed"
    by: Person
    source: str
    error: str


@dataclass(frozen=True, slots=True)
class QuarantineChanged:
    """The flagged passages of a document, by its id, are found from now on (`released`), or not any more."""

    kind: ClassVar[str] = "quarantine:changed"
    by: Person
    source: str
    document: str
    released: bool


@dataclass(frozen=True, slots=True)
class UserAdded:
    """A user was created, or an existing one was given these groups and roles."""

    kind: ClassVar[str] = "user:added"
    by: Person
    user: Person
    groups: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """A directory named a user in other groups than before; `origin` says which: `ldap` or `scim`."""

    kind: ClassVar[str] = "user:groups-changed"
    by: Person
    user: Person
    origin: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupNested:
    """Whoever is in `group` is in `parent` too; `origin` says whose word that is: `local`, `ldap` or `scim`."""

    kind: ClassVar[str] = "group:nested"
    by: Person
    group: str
    parent: str
    origin: str


@dataclass(frozen=True, slots=True)
class GroupUnnested:
    """A group is in another no longer, as far as that origin says."""

    kind: ClassVar[str] = "group:unnested"
    by: Person
    group: str
    parent: str
    origin: str


@dataclass(frozen=True, slots=True)
class DirectoryRead:
    """A directory was read, and what it says differs from what is stored; what changes follows from its other entries.

    Counts are of users that are created, let in again and disabled, and of users and groups in the directory.
    """

    kind: ClassVar[str] = "directory:read"
    by: Person
    origin: str
    users: int
    groups: int
    created: int
    enabled: int
    disabled: int


@dataclass(frozen=True, slots=True)
class DirectoryFailed:
    """A directory could not be read, for the first time after a good read; `reason` is a word."""

    kind: ClassVar[str] = "directory:failed"
    by: Person
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class UserEnabled:
    """A directory let a user in again whom it had disabled itself."""

    kind: ClassVar[str] = "user:enabled"
    by: Person
    user: Person


@dataclass(frozen=True, slots=True)
class UserDisabled:
    """All access was taken from a user: keys, sessions and groups count no more."""

    kind: ClassVar[str] = "user:disabled"
    by: Person
    user: Person


@dataclass(frozen=True, slots=True)
class UserUnlocked:
    """A user's failed sign-ins were forgotten, so that the next one counts again."""

    kind: ClassVar[str] = "user:unlocked"
    by: Person
    user: Person


@dataclass(frozen=True, slots=True)
class UserLinked:
    """A user may sign in as a provider's subject; the subject is a keyed digest."""

    kind: ClassVar[str] = "user:linked"
    by: Person
    user: Person
    issuer: str
    subject_hmac: str


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """A user was given another password, by themselves or an operator."""

    kind: ClassVar[str] = "password:changed"
    by: Person
    user: Person


@dataclass(frozen=True, slots=True)
class KeyCreated:
    """A user was given an API key; `key_id` is its public part.

    `scopes` are the actions it may be used for, none meaning all of the user's; `expires` is a time in UTC, or empty.
    """

    kind: ClassVar[str] = "key:created"
    by: Person
    user: Person
    key_id: str
    scopes: tuple[str, ...] = ()
    expires: str = ""


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """An API key stopped working."""

    kind: ClassVar[str] = "key:revoked"
    by: Person
    user: Person
    key_id: str


@dataclass(frozen=True, slots=True)
class ModelCompared:
    """A model on trial answered a question, too, after its answer had left; nobody is shown what it said.

    `agreed` says whether both came to the same, `declined` and `declined_other` whether the model on trial and the one
    that had answered did not answer; likewise words, milliseconds and how many of a hundred sentences were supported.
    """

    kind: ClassVar[str] = "model:compared"
    request: str
    model: str
    model_sha256: str
    other: str
    agreed: bool
    declined: bool
    declined_other: bool
    words: int
    words_other: int
    took_ms: int
    took_ms_other: int
    supported_percent: int
    supported_percent_other: int


@dataclass(frozen=True, slots=True)
class ModelEvaluated:
    """Somebody measured models, and the report was stored; `models` and `models_sha256` are in the same order."""

    kind: ClassVar[str] = "model:evaluated"
    by: Person
    report: str
    models: tuple[str, ...]
    models_sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelPromoted:
    """Another model works from now on, let through by its report; or `forced`, for a reason, past the gates `failed`.

    `role` is what it works as; `previous` is the model before, which `rollback` returns to.
    """

    kind: ClassVar[str] = "model:promoted"
    by: Person
    role: str
    model: str
    model_sha256: str
    previous: str
    report: str
    forced: bool
    reason: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ModelPulled:
    """A model file was fetched and its digest was the publisher's."""

    kind: ClassVar[str] = "model:pulled"
    by: Person
    model: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class ModelRolledBack:
    """The model before works again, or a model on trial is given up; `serve` does the latter by itself.

    `model` works from now on, `previous` no longer does; `cause` says why, with the figures where they decided.
    """

    kind: ClassVar[str] = "model:rolled-back"
    by: Person
    role: str
    model: str
    previous: str
    cause: str


@dataclass(frozen=True, slots=True)
class ModelSelected:
    """Another model answers from now on."""

    kind: ClassVar[str] = "model:selected"
    by: Person
    model: str
    previous: str


@dataclass(frozen=True, slots=True)
class ModelVerified:
    """Somebody had every byte of a model checked; without `as_published` it is not what its publisher made."""

    kind: ClassVar[str] = "model:verified"
    by: Person
    model: str
    as_published: bool


@dataclass(frozen=True, slots=True)
class VectorsDropped:
    """The vectors of an embedder that is no longer in use were removed: there is no way back to it without them."""

    kind: ClassVar[str] = "vectors:dropped"
    by: Person
    model: str
    passages: int


@dataclass(frozen=True, slots=True)
class IndexRebuilt:
    """The search index was made anew from the database, of so many passages."""

    kind: ClassVar[str] = "index:rebuilt"
    by: Person
    passages: int


@dataclass(frozen=True, slots=True)
class ServiceStarted:
    """Somebody started the service, of this version of the product."""

    kind: ClassVar[str] = "service:started"
    by: Person
    version: str


@dataclass(frozen=True, slots=True)
class ServiceStopped:
    """The service stopped by itself or by being told so; one that was killed leaves no such entry."""

    kind: ClassVar[str] = "service:stopped"
    by: Person


@dataclass(frozen=True, slots=True)
class OversharingListed:
    """Somebody was shown which sensitive documents many may read; `source` is empty when all were meant."""

    kind: ClassVar[str] = "oversharing:listed"
    by: Person
    source: str
    documents: tuple[str, ...]
    policy_revision: str


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """Other policies decide from now on; `added`, `removed` and `changed` name rules by their ids."""

    kind: ClassVar[str] = "policy:changed"
    by: Person
    policy_revision: str
    previous: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyExplained:
    """Somebody asked whether a user may read a document, and why; `allowed` is what they were told."""

    kind: ClassVar[str] = "policy:explained"
    by: Person
    user: Person
    document: str
    allowed: bool
    policy_revision: str
    request: str = ""


@dataclass(frozen=True, slots=True)
class PolicyRefused:
    """Policies were not put in force, and those before them stay.

    `policy_revision` is what decides instead, `problems` how many things were wrong; which they are is in the log and
    in `muniment doctor`. `by` is `muniment` when a process found stored policies that it cannot use.
    """

    kind: ClassVar[str] = "policy:refused"
    by: Person
    policy_revision: str
    problems: int


@dataclass(frozen=True, slots=True)
class ExportRestarted:
    """Somebody had entries sent to another system again; it begins behind entry `after`."""

    kind: ClassVar[str] = "export:restarted"
    by: Person
    sink: str
    after: int


@dataclass(frozen=True, slots=True)
class ExportSent:
    """The entries from `first` to `last` were sent to another system since this was last said; once a day or a run."""

    kind: ClassVar[str] = "export:sent"
    sink: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class HoldPlaced:
    """Something must be kept from now on; why, is sealed beside it.

    `covers` is `subject`, `conversation` or `request`, and `target` which: what stands for a person in the trail, or an
    id.
    """

    kind: ClassVar[str] = "hold:placed"
    by: Person
    hold: str
    covers: str
    target: str


@dataclass(frozen=True, slots=True)
class HoldEnded:
    """A legal hold was ended; fields as in `HoldPlaced`."""

    kind: ClassVar[str] = "hold:ended"
    by: Person
    hold: str
    covers: str
    target: str


@dataclass(frozen=True, slots=True)
class InvestigationOpened:
    """Somebody begins to look into the trail, for a reason that is kept sealed beside the trail.

    `reason_hmac` is its keyed digest: the kept text can be held to it. `ends` is a time in UTC. `channel` is `http` or
    `cli`; at the command line a reason counts for one command, and nothing is closed.
    """

    kind: ClassVar[str] = "investigation:opened"
    by: Person
    investigation: str
    reason_hmac: str
    ends: str
    channel: str
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class InvestigationClosed:
    """Somebody ended an investigation of theirs before its time."""

    kind: ClassVar[str] = "investigation:closed"
    by: Person
    investigation: str
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class ClockBehind:
    """The clock of the machine that opens the trail is so many seconds behind the trail's newest entry.

    One of the two clocks was wrong, so times before this entry and after it cannot be compared.
    """

    kind: ClassVar[str] = "clock:behind"
    seconds: int


@dataclass(frozen=True, slots=True)
class TrailLossAccepted:
    """Somebody goes on with a trail that lacks what this installation wrote before, or with another one.

    That was trail `trail`, up to its checkpoint `checkpoint` over `entries` entries.
    """

    kind: ClassVar[str] = "trail:loss-accepted"
    by: Person
    trail: str
    checkpoint: int
    entries: int


@dataclass(frozen=True, slots=True)
class TrailReduced:
    """The content of old entries is being removed: of `removed` entries, of these numbers (`1-500`, `502`).

    Their hashes stay, so the rest can be checked as before. `classes` counts them by class, `held` is how many were old
    enough and stay since somebody holds them. What the newest checkpoint signs is what counts.
    """

    kind: ClassVar[str] = "trail:reduced"
    by: Person
    removed: int
    entries: tuple[str, ...]
    classes: Mapping[str, int]
    held: int = 0


@dataclass(frozen=True, slots=True)
class SigningKeyRotated:
    """Another key is about to sign checkpoints and receipts, as a checkpoint behind this entry says.

    Keys are named by the first 16 digits of the SHA-256 of their public halves; `public_key` is the new one's, in
    hexadecimal.
    """

    kind: ClassVar[str] = "key:rotated"
    by: Person
    previous: str
    key: str
    public_key: str


@dataclass(frozen=True, slots=True)
class MasterKeyRotated:
    """Another master key is about to seal what is new; `previous` names the one that gives way, by an id."""

    kind: ClassVar[str] = "master-key:rotated"
    by: Person
    previous: str


@dataclass(frozen=True, slots=True)
class ErasureBegun:
    """Somebody is about to be erased: `subject` stands for them, `of` is `user` or `person` (whom documents name).

    Without `subject:erased` behind it, it was broken off; `muniment erase --resume` completes it. `reason` is what the
    operator gave, without names.
    """

    kind: ClassVar[str] = "erasure:begun"
    by: Person
    subject: str
    of: str
    reason: str


@dataclass(frozen=True, slots=True)
class SubjectErased:
    """Nothing is left of somebody but what the trail calls them by.

    `ledger` is their number in the ledger of erasures; `counts` says how much of what was taken out.
    """

    kind: ClassVar[str] = "subject:erased"
    by: Person
    subject: str
    of: str
    ledger: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SubjectExported:
    """A copy of what is held about somebody is about to be handed out, with so much in it.

    `user` is empty for a person who is none: `documents` are those that name them.
    """

    kind: ClassVar[str] = "subject:exported"
    by: Person
    user: Person
    conversations: int
    entries: int
    documents: int = 0


@dataclass(frozen=True, slots=True)
class MasterKeyResealed:
    """What earlier master keys sealed is about to be sealed anew with this one, and they are to be destroyed then."""

    kind: ClassVar[str] = "master-key:resealed"
    by: Person
    master: str


@dataclass(frozen=True, slots=True)
class RevealAsked:
    """An auditor asks to see the text of a question and its answer; `user` is whose it is, `request` which.

    `reason_hmac` is the keyed digest of the reason, which is kept sealed; nobody may decide after `expires`.
    """

    kind: ClassVar[str] = "reveal:asked"
    by: Person
    user: Person
    reveal: str
    investigation: str
    request: str
    reason_hmac: str
    expires: str
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class RevealApproved:
    """Another auditor lets the text be seen by whoever asked, until `open_until`; other fields as in `RevealAsked`."""

    kind: ClassVar[str] = "reveal:approved"
    by: Person
    user: Person
    reveal: str
    investigation: str
    request: str
    open_until: str
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class RevealRefused:
    """Another auditor does not let the text be seen; fields as in `RevealAsked`."""

    kind: ClassVar[str] = "reveal:refused"
    by: Person
    user: Person
    reveal: str
    investigation: str
    request: str
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class RevealOpened:
    """Whoever asked is about to see the text; `as_recorded` says whether it is what the trail's digests are of."""

    kind: ClassVar[str] = "reveal:opened"
    by: Person
    user: Person
    reveal: str
    investigation: str
    request: str
    as_recorded: bool
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class TrailRead:
    """Somebody looked into the trail, and was shown so many `entries`.

    `operation` is what they asked it, such as `list`, `show`, `prove`, `simulate`, `verify`, `export` or `copy`.
    `filters` says what for, each as `name=value`; `user` is whom it was about; texts that were tested stand there as
    keyed digests. `investigation` names the reason, and is empty where none was written.
    """

    kind: ClassVar[str] = "trail:read"
    by: Person
    operation: str
    entries: int
    investigation: str = ""
    filters: tuple[str, ...] = ()
    user: Person = ""
    os_user: Person = ""


@dataclass(frozen=True, slots=True)
class UsageRefused:
    """Somebody was refused because a limit of theirs is used up; `limit` is its name in the settings.

    Written once a minute at most for each person and limit, by each process: `times` says how often it happened since
    the entry before.
    """

    kind: ClassVar[str] = "usage:refused"
    request: str
    principal: Person
    limit: str
    times: int


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Somebody is shown how much others used, by `user`, `group`, `model` or `day` (`grouping`), and of which days."""

    kind: ClassVar[str] = "usage:reported"
    by: Person
    grouping: str
    first_day: str
    last_day: str
    lines: int


Event = (
    QuestionAsked
    | SearchAsked
    | EmbeddingsMade
    | LabelsDecided
    | PassagesRetrieved
    | PassagesSent
    | PersonalDataRevealed
    | AnswerGiven
    | AnswerFailed
    | AnswerUnknown
    | ConversationRead
    | AccessDenied
    | SignInFailed
    | SignInLocked
    | SessionBegun
    | SessionEnded
    | HomeCreated
    | HomePartsMade
    | BackupMade
    | BackupRestored
    | SourceAdded
    | SourceOwnersChanged
    | SourceRemoved
    | SyncStarted
    | SyncFinished
    | DocumentsChanged
    | LabelsChanged
    | SyncFailed
    | QuarantineChanged
    | UserAdded
    | GroupsChanged
    | GroupNested
    | GroupUnnested
    | DirectoryRead
    | DirectoryFailed
    | UserEnabled
    | UserDisabled
    | UserUnlocked
    | UserLinked
    | PasswordChanged
    | KeyCreated
    | KeyRevoked
    | MasterKeyRotated
    | ModelCompared
    | ModelEvaluated
    | ModelPromoted
    | ModelPulled
    | ModelRolledBack
    | VectorsDropped
    | ModelSelected
    | ModelVerified
    | IndexRebuilt
    | ServiceStarted
    | ServiceStopped
    | OversharingListed
    | PolicyChanged
    | PolicyExplained
    | PolicyRefused
    | ExportRestarted
    | ExportSent
    | HoldPlaced
    | HoldEnded
    | InvestigationOpened
    | InvestigationClosed
    | ClockBehind
    | TrailLossAccepted
    | SigningKeyRotated
    | ErasureBegun
    | SubjectErased
    | MasterKeyResealed
    | RevealAsked
    | RevealApproved
    | RevealRefused
    | RevealOpened
    | SubjectExported
    | TrailRead
    | TrailReduced
    | UsageRefused
    | UsageReported
)
"""Everything the trail records."""
