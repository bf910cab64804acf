"""The settings of one installation: `muniment.toml` in its home folder.

Each folder's options are a type of their own; unknown names and wrong types are refused with the place named, so that
a misspelt setting never silently means its default.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import msgspec
import platformdirs

from gateway.compliance.options import ComplianceOptions
from gateway.errors import ConfigurationError, HomeMissingError
from gateway.identity.options import LdapOptions, OidcOptions, ScimOptions, SignInOptions
from gateway.models.options import GateOptions, TrialOptions
from gateway.usage.options import UsageOptions
from models.openai.options import Upstream
from policies.addresses import is_loopback as is_loopback
from policies.audit.classes import FEWEST_DAYS, EntryClass
from policies.audit.sinks.options import Export, FileSink, Sink
from policies.errors import RedactionSettingsError, SecretUnusableError
from policies.private_files import read_secret
from policies.redaction.options import RedactionOptions
from policies.redaction.site import SiteRedaction, read_site
from retrieval.options import RetrievalOptions

CONFIG_NAME = "muniment.toml"
_CHECKPOINT_FILE = "checkpoint-file"
"""What the place is called that `audit.checkpoint_file` names."""
_Positive = Annotated[int, msgspec.Meta(ge=1)]


class ServerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gateway listens, and how much it takes on. Anything but loopback needs TLS in front of it.

    `names` are further host names under which clients reach it; any other Host header is refused. At most
    `questions_at_once` questions are answered at a time, `questions_each` for one person; searches have limits of their
    own. More get 429, once `questions_waiting` wait for their turn, or one has waited for `wait_seconds`.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8400
    names: tuple[str, ...] = ()
    questions_at_once: _Positive = 16
    questions_each: _Positive = 4
    questions_waiting: Annotated[int, msgspec.Meta(ge=0)] = 32
    wait_seconds: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    searches_at_once: _Positive = 16
    searches_each: _Positive = 4


MODEL_ALIAS = "muniment"
"""A model name that stays when the operator changes the model."""


class ModelOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which models are used (ids of `models/catalogue.toml`) and where they come from.

    `mirror` is a folder or an https address asked instead of the catalogue's; `hosts` are those besides that web
    servers with models may lead on to. `threads` 0 means every core. An empty `russian_recogniser` saves its 30 MB
    where nobody writes Russian. `also` are further generators that questions may name, each in a process of its own.

    A generator works on `at_once` requests together; more wait. Prompts, answers and what is kept of them for the next
    question take `cache_tokens` of memory, 0 for four times `context_tokens`. `gpu_layers` is how much of it a graphics
    card computes, -1 for all where there is one.

    `upstreams` are models on servers, each a section [[models.upstreams]]; questions may name them, and so may
    `generator`. With `fallback_local`, a question to a remote one is answered by the first model of this machine where
    passages for its answer may not be sent.
    """

    generator: str = "qwen2.5-coder-1.5b-instruct-q4_k_m"
    embedder: str = "all-minilm-l6-v2"
    recogniser: str = "en-core-web-sm-3.8.0"
    russian_recogniser: str = "natasha-1.6.0"
    also: tuple[str, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    fallback_local: bool = False
    folder: str = ""
    mirror: str = ""
    hosts: tuple[str, ...] = ()
    context_tokens: _Positive = 4096
    cache_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    at_once: Annotated[int, msgspec.Meta(ge=1, le=128)] = 8
    threads: Annotated[int, msgspec.Meta(ge=0)] = 0
    gpu_layers: Annotated[int, msgspec.Meta(ge=-1)] = -1
    mlflow_url: Annotated[str, msgspec.Meta(pattern="^(https?://[^/@]+(/.*)?)?$")] = ""
    gates: GateOptions = GateOptions()
    trial: TrialOptions = TrialOptions()

    def __post_init__(self) -> None:
        """Refuse names that mean two models, and a fallback to none."""
        names = [*self.also, *(upstream.name for upstream in self.upstreams)]
        _require_own_names("models.upstreams", [MODEL_ALIAS, *names])
        if self.fallback_local and not self.generators and all(upstream.remote for upstream in self.upstreams):
            message = "models.fallback_local needs a model on this machine: name one in models.also"
            raise ValueError(message)

    @property
    def generators(self) -> tuple[str, ...]:
        """The language models of the catalogue, the default first if it is one of them."""
        chosen = () if self.upstream(self.generator) else (self.generator,)
        return tuple(dict.fromkeys((*chosen, *self.also)))

    def upstream(self, name: str) -> Upstream | None:
        """The upstream of that name, if there is one."""
        return next((upstream for upstream in self.upstreams if upstream.name == name), None)

    @property
    def recognisers(self) -> tuple[str, ...]:
        """The models that find names."""
        return tuple(id_ for id_ in (self.recogniser, self.russian_recogniser) if id_)

    @property
    def in_use(self) -> tuple[str, ...]:
        """All models of the catalogue that this installation works with."""
        tried = (self.trial.model,) if self.trial.model else ()
        return tuple(dict.fromkeys((*self.generators, *tried, self.embedder, *self.recognisers)))


class AnswerOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is read for an answer, and how long it may be.

    An answer has at most `max_words`, or `most_words` where the question asks for detail or names a number of words.
    What the model said to the same prompt of the same person is remembered for `remembered_seconds` (0: not at all).
    """

    passages: _Positive = 4
    passage_tokens: _Positive = 450
    max_words: _Positive = 80
    most_words: _Positive = 250
    question_characters: _Positive = 8000
    remembered_seconds: Annotated[int, msgspec.Meta(ge=0)] = 900


class RetentionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how many days what entries of the trail say is kept, by what they are about; 0 is for good.

    Fewer than 183 days are refused unless `allow_short` is true: the EU's AI Act asks for six months of logs. Of a
    trail in PostgreSQL its owner removes: `database` is the address with the owner's name, as in [audit].
    """

    questions: Annotated[int, msgspec.Meta(ge=0)] = 0
    access: Annotated[int, msgspec.Meta(ge=0)] = 0
    administration: Annotated[int, msgspec.Meta(ge=0)] = 0
    allow_short: bool = False
    database: str = ""
    database_password_file: str = ""

    def __post_init__(self) -> None:
        """Refuse days that are too few."""
        short = {class_.value: days for class_, days in self.days.items() if days < FEWEST_DAYS}
        if short and not self.allow_short:
            message = f"{short} days are fewer than {FEWEST_DAYS}; set allow_short if the law lets you"
            raise ValueError(message)

    @property
    def days(self) -> dict[EntryClass, int]:
        """The classes that are not kept for good, and for how long they are."""
        days = {
            EntryClass.QUESTIONS: self.questions,
            EntryClass.ACCESS: self.access,
            EntryClass.ADMINISTRATION: self.administration,
        }
        return {class_: kept for class_, kept in days.items() if kept}


class AuditOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long an answer waits for the trail before it is refused, and where checkpoints are copied to.

    `checkpoint_file` is one such place, `copies` are further ones, each written as a section [[audit.copies]] with
    `name` and `kind` ("file", "syslog", "http"). Nothing is answered once none of them has taken a checkpoint for
    `require_copy_seconds` (0: that does not matter). `exports` are places that entries are sent to while `serve` runs,
    sections [[audit.exports]] written likewise, with `format` ("json", "cef" or "ocsf"). The authority at `stamp_url`
    (RFC 3161) stamps a checkpoint every so often; its stamps lead to the certificates in `stamp_ca_file`.
    What was asked and answered is kept for `texts_kept_days`, sealed, for investigators to ask for; 0 keeps nothing.

    An auditor's investigation lasts `investigation_hours` at most. With `reason_at_command_line`, commands that read
    the trail take `--reason` or do nothing. Asking to see a text waits `reveal_wait_hours` for another auditor, who
    opens it for `reveal_minutes`.

    `database` names a PostgreSQL database for the trail, as postgresql://user@host/database; empty: a file in the home.
    Its password is in `database_password_file`: a name in `keys/` or a whole path, readable by its owner alone; empty:
    there is none. Over a network the server's certificate must be signed by one of `database_certificates`, a file in
    PEM form; empty: the system's.
    `signing_key_file` is where the signing key is mounted, if it is not in the home; `signer` is the socket of a
    process that holds it. At most one of them is set.
    """

    deadline_seconds: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    checkpoint_file: str = ""
    database: str = ""
    database_schema: Annotated[str, msgspec.Meta(pattern="^[a-z_][a-z0-9_]{0,62}$")] = "muniment_audit"
    database_password_file: str = ""
    database_certificates: str = ""
    signing_key_file: str = ""
    signer: str = ""
    retention: RetentionOptions = RetentionOptions()
    copies: tuple[Sink, ...] = ()
    require_copy_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    texts_kept_days: Annotated[int, msgspec.Meta(ge=0)] = 30
    investigation_hours: _Positive = 24
    reason_at_command_line: bool = False
    exports: tuple[Export, ...] = ()
    reveal_wait_hours: _Positive = 24
    reveal_minutes: _Positive = 60
    stamp_url: Annotated[str, msgspec.Meta(pattern="^(https?://[^/@]+(/.*)?)?$")] = ""
    stamp_ca_file: str = ""
    stamp_policy: Annotated[str, msgspec.Meta(pattern=r"^([0-2](\.\d+)+)?$")] = ""
    stamp_every_seconds: Annotated[int, msgspec.Meta(ge=60)] = 3600

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        _require_own_names("audit.copies", [sink.name for sink in self.all_copies])
        _require_own_names("audit.exports", [export.name for export in self.exports])
        if self.require_copy_seconds and not self.all_copies:
            message = "require_copy_seconds needs a place that checkpoints are copied to"
            raise ValueError(message)
        if self.stamp_url and not self.stamp_ca_file:
            message = "stamp_url needs stamp_ca_file, the certificates that its stamps lead to"
            raise ValueError(message)
        if self.signing_key_file and self.signer:
            message = "audit.signing_key_file and audit.signer name two places of the signing key; leave one out"
            raise ValueError(message)

    @property
    def all_copies(self) -> tuple[Sink, ...]:
        """Every place that checkpoints are copied to."""
        first = (FileSink(name=_CHECKPOINT_FILE, path=self.checkpoint_file),) if self.checkpoint_file else ()
        return (*first, *self.copies)


def _require_own_names(what: str, names: Sequence[str]) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        message = f"{what} has the name {twice[0]} twice"
        raise ValueError(message)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything an operator may set.

    `networks` names blocks of addresses that rules may ask about; see `gateway/contexts.py`.
    """

    server: ServerOptions = ServerOptions()
    models: ModelOptions = ModelOptions()
    answers: AnswerOptions = AnswerOptions()
    retrieval: RetrievalOptions = RetrievalOptions()
    redaction: RedactionOptions = RedactionOptions()
    audit: AuditOptions = AuditOptions()
    sign_in: SignInOptions = SignInOptions()
    oidc: OidcOptions = OidcOptions()
    networks: dict[str, tuple[str, ...]] = {}
    ldap: LdapOptions = LdapOptions()
    scim: ScimOptions = ScimOptions()
    compliance: ComplianceOptions = ComplianceOptions()
    usage: UsageOptions = UsageOptions()


class Home:
    """The folder of one installation, and where things lie in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_file = folder / CONFIG_NAME
        self.keys = folder / "keys"
        self.database = folder / "data" / "muniment.db"
        self.trail = folder / "data" / "audit.db"
        self.erasures = folder / "data" / "erasures.jsonl"
        self.copies = folder / "data" / "copies"
        self.trail_seen = folder / "trail.seen"
        self.exports = folder / "data" / "exports"
        self.stamps = folder / "data" / "stamps"
        self.index = folder / "index"
        self.evaluations = folder / "evaluations"
        self.locks = folder / "locks"

    def models(self, config: Config) -> Path:
        """Where model files are kept: the installations of a user share them, since they are large and never change."""
        chosen = config.models.folder or os.environ.get("MUNIMENT_MODELS")
        return Path(chosen) if chosen else platformdirs.user_cache_path("muniment") / "models"

    def __str__(self) -> str:
        return str(self.folder)


def find_home(folder: str | None) -> Home:
    """The home folder: as given, else `MUNIMENT_HOME`, else `.muniment` in the user's own folder."""
    chosen = folder or os.environ.get("MUNIMENT_HOME")
    return Home(Path(chosen).absolute() if chosen else Path.home() / ".muniment")


def load_config(home: Home) -> Config:
    """Read an installation's settings.

    Raises:
        HomeMissingError: There is no installation.
        ConfigurationError: The file cannot be read or says something it must not.
    """
    if not home.config_file.exists():
        message = f"There is no Muniment home at {home}. Run `muniment init`, or name another with --home."
        raise HomeMissingError(message)
    return read_config(home.config_file)


def read_config(file: Path) -> Config:
    """Read a file of settings.

    Raises:
        ConfigurationError: The file cannot be read or says something it must not.
    """
    try:
        return msgspec.toml.decode(file.read_bytes(), type=Config)
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}. Make it readable for this user."
        raise ConfigurationError(message) from error
    except msgspec.MsgspecError as error:
        message = f"{file} is not valid: {error}. Correct that setting."
        raise ConfigurationError(message) from error


def read_setting(file: Path, what: str) -> str:
    """What a file of its own says, that must not stand in the settings themselves: `what` names it in errors.

    Raises:
        ConfigurationError: It cannot be read, says nothing, or others can read it.
    """
    try:
        return read_secret(file, what)
    except SecretUnusableError as error:
        raise ConfigurationError(str(error)) from error


def site_redaction(config: Config, file: Path) -> SiteRedaction:
    """What the settings of a file say of redaction, ready to be used; files of words are looked for beside it.

    Raises:
        ConfigurationError: It cannot be used.
    """
    try:
        return read_site(config.redaction, file.parent)
    except RedactionSettingsError as error:
        message = f"{file} is not valid: {error}"
        raise ConfigurationError(message) from error
