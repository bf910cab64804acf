"""What the trail records: one dataclass per event, its docstring is its documentation.

Identifiers, digests, rules and counts; never the text of a question, a passage or an answer, never a key. Fields hold
text, whole numbers, booleans, and sequences or mappings of these; no fractions, which languages spell differently.

Fields of the same name mean the same: `request` ties together what belongs to one request, `principal` is who acted,
`by` is who administered, `user` is whom it concerned. Those are what the trail can be searched by.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """Somebody is about to get an answer. Durable before the first word of it leaves.

    `channel` is how it came (`cli`, `http`), `network` the name of the network it came from; `os_user` is the
    operating-system user who asked in another's name with `--as`; `question_hmac` is a keyed digest: an investigator
    who has the key can test a suspected text.
    """

    kind: ClassVar[str] = "question:asked"
    request: str
    principal: str
    channel: str
    question_hmac: str
    model: str
    policy_revision: str
    os_user: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class SearchAsked:
    """Somebody is about to get passages. Durable before the first of them leaves; fields as in `QuestionAsked`."""

    kind: ClassVar[str] = "search:asked"
    request: str
    principal: str
    channel: str
    query_hmac: str
    policy_revision: str
    os_user: str = ""
    network: str = ""


@dataclass(frozen=True, slots=True)
class PassagesRetrieved:
    """Which passages a search found for somebody, and the rules that let them through.

    `passages`, `documents` and `labels` name the same passages in the same order: the digest of the passage, the id of
    its document, the digest of the label it was allowed under. Counts are of distinct labels.
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


@dataclass(frozen=True, slots=True)
class PersonalDataRevealed:
    """Personal data of documents under one label is about to be shown. Durable before any of it leaves.

    `revealed` counts the values by their type, `label` is the label's digest, `policies` are the rules that show these
    types to this principal for this purpose. Values that the principal typed are not counted.
    """

    kind: ClassVar[str] = "personal-data:revealed"
    request: str
    principal: str
    purpose: str
    label: str
    revealed: Mapping[str, int]
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """An answer was complete, and left after this was durable.

    `cited` are ids of documents; `redactions` counts what was replaced, by type; the digests are of the text that left
    and of its signed receipt.
    """

    kind: ClassVar[str] = "answer:given"
    request: str
    abstained: bool
    cited: tuple[str, ...]
    redactions: Mapping[str, int]
    output_sha256: str
    receipt_sha256: str


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
    principal: str


@dataclass(frozen=True, slots=True)
class ConversationRead:
    """Somebody is about to see a stored conversation of theirs again, with this many `messages`.

    What its answers showed was recorded when they were given.
    """

    kind: ClassVar[str] = "conversation:read"
    request: str
    principal: str
    conversation: str
    messages: int


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """Somebody was refused an action; `reason` and `policies` are those of the decision.

    `source` is what it was about, where that is decided for each source.
    """

    kind: ClassVar[str] = "access:denied"
    principal: str
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
    user: str = ""
    address_hmac: str = ""


@dataclass(frozen=True, slots=True)
class SignInLocked:
    """So many sign-ins in a row failed that none is accepted for a while; `seconds` 0 is until an operator unlocks."""

    kind: ClassVar[str] = "sign-in:locked"
    user: str
    failures: int
    seconds: int


@dataclass(frozen=True, slots=True)
class SessionBegun:
    """Somebody signed in; `method` is `password` or `oidc`, `issuer` the provider that vouched for them."""

    kind: ClassVar[str] = "session:begun"
    principal: str
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
    by: str
    user: str
    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class HomeCreated:
    """An installation began: this operating-system user made its keys, with this version of the product."""

    kind: ClassVar[str] = "home:created"
    by: str
    version: str


@dataclass(frozen=True, slots=True)
class HomePartsMade:
    """Parts of an installation were missing and made anew, empty: `database`, `trail` or both.

    What stood in them before is gone from here; a trail that begins with this entry followed another one.
    """

    kind: ClassVar[str] = "home:parts-made"
    by: str
    parts: tuple[str, ...]
    version: str


@dataclass(frozen=True, slots=True)
class SourceAdded:
    """A source was configured; `type` names its connector; 0 seconds mean that its permissions never grow too old."""

    kind: ClassVar[str] = "source:added"
    by: str
    source: str
    type: str
    max_acl_age_seconds: int = 0


@dataclass(frozen=True, slots=True)
class SourceOwnersChanged:
    """A source has other owners from now on; each is `user:` or `group:` with a name."""

    kind: ClassVar[str] = "source:owners-changed"
    by: str
    source: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceRemoved:
    """A source and all its documents are being taken out."""

    kind: ClassVar[str] = "source:removed"
    by: str
    source: str


@dataclass(frozen=True, slots=True)
class SyncStarted:
    """A run over a source is about to read it; without an end in the trail, it was killed and may have changed much."""

    kind: ClassVar[str] = "sync:started"
    by: str
    source: str


@dataclass(frozen=True, slots=True)
class SyncFinished:
    """A run over a source ended; counts are of documents, `epoch` is the state that it left.

    `flags` counts the passages that are odd, of those that were new or changed, by what is odd about them.
    """

    kind: ClassVar[str] = "sync:finished"
    by: str
    source: str
    upserted: int
    relabelled: int
    deleted: int
    skipped: int
    epoch: int
    flags: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SyncFailed:
    """A run over a source broke off; what it had committed stands. `error` is the name of the error, not its text."""

    kind: ClassVar[str] = "sync:failed"
    by: str
    source: str
    error: str


@dataclass(frozen=True, slots=True)
class QuarantineChanged:
    """The flagged passages of a document, by its id, are found from now on (`released`), or not any more."""

    kind: ClassVar[str] = "quarantine:changed"
    by: str
    source: str
    document: str
    released: bool


@dataclass(frozen=True, slots=True)
class UserAdded:
    """A user was created, or an existing one was given these groups and roles."""

    kind: ClassVar[str] = "user:added"
    by: str
    user: str
    groups: tuple[str, ...]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupsChanged:
    """A directory named a user in other groups than before; `origin` says which: `ldap` or `scim`."""

    kind: ClassVar[str] = "user:groups-changed"
    by: str
    user: str
    origin: str
    added: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupNested:
    """Whoever is in `group` is in `parent` too; `origin` says whose word that is: `local`, `ldap` or `scim`."""

    kind: ClassVar[str] = "group:nested"
    by: str
    group: str
    parent: str
    origin: str


@dataclass(frozen=True, slots=True)
class GroupUnnested:
    """A group is in another no longer, as far as that origin says."""

    kind: ClassVar[str] = "group:unnested"
    by: str
    group: str
    parent: str
    origin: str


@dataclass(frozen=True, slots=True)
class DirectoryRead:
    """A directory was read, and what it says differs from what is stored; what changes follows from its other entries.

    Counts are of users that are created, let in again and disabled, and of users and groups in the directory.
    """

    kind: ClassVar[str] = "directory:read"
    by: str
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
    by: str
    origin: str
    reason: str


@dataclass(frozen=True, slots=True)
class UserEnabled:
    """A directory let a user in again whom it had disabled itself."""

    kind: ClassVar[str] = "user:enabled"
    by: str
    user: str


@dataclass(frozen=True, slots=True)
class UserDisabled:
    """All access was taken from a user: keys, sessions and groups count no more."""

    kind: ClassVar[str] = "user:disabled"
    by: str
    user: str


@dataclass(frozen=True, slots=True)
class UserUnlocked:
    """A user's failed sign-ins were forgotten, so that the next one counts again."""

    kind: ClassVar[str] = "user:unlocked"
    by: str
    user: str


@dataclass(frozen=True, slots=True)
class UserLinked:
    """A user may sign in as a provider's subject; the subject is a keyed digest."""

    kind: ClassVar[str] = "user:linked"
    by: str
    user: str
    issuer: str
    subject_hmac: str


@dataclass(frozen=True, slots=True)
class PasswordChanged:
    """A user was given another password, by themselves or an operator."""

    kind: ClassVar[str] = "password:changed"
    by: str
    user: str


@dataclass(frozen=True, slots=True)
class KeyCreated:
    """A user was given an API key; `key_id` is its public part.

    `scopes` are the actions it may be used for, none meaning all of the user's; `expires` is a time in UTC, or empty.
    """

    kind: ClassVar[str] = "key:created"
    by: str
    user: str
    key_id: str
    scopes: tuple[str, ...] = ()
    expires: str = ""


@dataclass(frozen=True, slots=True)
class KeyRevoked:
    """An API key stopped working."""

    kind: ClassVar[str] = "key:revoked"
    by: str
    user: str
    key_id: str


@dataclass(frozen=True, slots=True)
class ModelPulled:
    """A model file was fetched and its digest was the publisher's."""

    kind: ClassVar[str] = "model:pulled"
    by: str
    model: str
    model_sha256: str


@dataclass(frozen=True, slots=True)
class ModelSelected:
    """Another model answers from now on."""

    kind: ClassVar[str] = "model:selected"
    by: str
    model: str
    previous: str


@dataclass(frozen=True, slots=True)
class OversharingListed:
    """Somebody was shown which sensitive documents many may read; `source` is empty when all were meant."""

    kind: ClassVar[str] = "oversharing:listed"
    by: str
    source: str
    documents: tuple[str, ...]
    policy_revision: str


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """Other policies decide from now on; `added`, `removed` and `changed` name rules by their ids."""

    kind: ClassVar[str] = "policy:changed"
    by: str
    policy_revision: str
    previous: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PolicyExplained:
    """Somebody asked whether a user may read a document, and why; `allowed` is what they were told."""

    kind: ClassVar[str] = "policy:explained"
    by: str
    user: str
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
    by: str
    policy_revision: str
    problems: int


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
    by: str
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
    by: str
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
    by: str
    previous: str
    key: str
    public_key: str


@dataclass(frozen=True, slots=True)
class MasterKeyRotated:
    """Another master key is about to seal what is new; `previous` names the one that gives way, by an id."""

    kind: ClassVar[str] = "master-key:rotated"
    by: str
    previous: str


@dataclass(frozen=True, slots=True)
class TrailRead:
    """Somebody looked into the trail.

    `operation` is `list`, `show`, `prove`, `simulate`, `verify`, `export` or `copy`.
    """

    kind: ClassVar[str] = "trail:read"
    by: str
    operation: str
    entries: int


Event = (
    QuestionAsked
    | SearchAsked
    | PassagesRetrieved
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
    | SourceAdded
    | SourceOwnersChanged
    | SourceRemoved
    | SyncStarted
    | SyncFinished
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
    | ModelPulled
    | ModelSelected
    | OversharingListed
    | PolicyChanged
    | PolicyExplained
    | PolicyRefused
    | ClockBehind
    | TrailLossAccepted
    | SigningKeyRotated
    | TrailRead
    | TrailReduced
)
"""Everything the trail records."""
