"""All wiring, in one place. Each part is made when it is first asked for, so a command pays for what it uses.

Tests replace a part by assigning to it before it is used: `services.engine = ScriptedModel(...)`.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Self

from sqlalchemy import Engine as Database
from sqlmodel import Session

from gateway.audit.investigations import Investigations
from gateway.audit.places import exported_up_to, open_copies, open_exporters, open_stamper
from gateway.audit.questions import Questions
from gateway.audit.retention import Retention
from gateway.audit.reveals import RevealOptions, Reveals
from gateway.chat.kept import KeptTexts
from gateway.chat.service import Chats
from gateway.chat.store import Conversations
from gateway.config import Config, Home, load_config, site_redaction
from gateway.contexts import Networks
from gateway.database import open_database
from gateway.erasure import Erasures, ForgottenPeople
from gateway.errors import ConfigurationError, DatabaseUnusableError
from gateway.evaluation.store import StoredReports
from gateway.holds import Holds
from gateway.identity.callers import Callers
from gateway.identity.directories import Directories
from gateway.identity.directory import Snapshot
from gateway.identity.freshness import Freshness
from gateway.identity.groups import Groups
from gateway.identity.keys import ApiKeys
from gateway.identity.last_use import LastUse
from gateway.identity.ldap import LdapDirectory
from gateway.identity.oidc import SingleSignOn, open_provider
from gateway.identity.scim.service import ScimGroups, ScimUsers
from gateway.identity.service import PasswordSignIn
from gateway.identity.sessions import Sessions
from gateway.identity.users import Users
from gateway.ledger import Ledger
from gateway.models.history import History
from gateway.models.served import ServedModel, ServedModels
from gateway.models.versions import digests, supporting_versions
from gateway.policy.bundles import Bundles
from gateway.policy.current import CurrentPolicies
from gateway.policy.service import Explanations
from gateway.recording import Recorder
from gateway.search.service import Searches
from gateway.sources.access import SourceAccess
from gateway.sources.flags import Flags
from gateway.sources.owners import Owners
from gateway.sources.runs import SourceRuns
from gateway.sources.service import Sources
from gateway.subjects import Subjects
from gateway.trail_place import owned_trail_place, trail_place
from gateway.usage.report import Reports
from gateway.usage.service import Usage
from models.catalogue import Artefact, Catalogue, load_catalogue
from models.embedder import Embedder
from models.engine import Engine
from models.fingerprints import require_template
from models.llama.engine import LlamaEngine
from models.openai.engine import UpstreamEngine
from models.openai.options import Upstream
from models.remembering import RememberingEngine
from models.store import ModelStore
from policies.audit.events import PolicyRefused
from policies.audit.places import TrailPlace
from policies.audit.reader import EntryQuery, read_entries
from policies.audit.seen import SeenFile
from policies.audit.sinks.copies import Copies
from policies.audit.sinks.exports import Exporters
from policies.audit.stamps import Stamper
from policies.audit.store import Trail
from policies.clock import SteadyClock
from policies.errors import TrailUnavailableError
from policies.filters import AccessFilters
from policies.keys import Keys, open_keys
from policies.redaction.finder import Finder
from policies.redaction.isolated import IsolatedRedactor
from policies.redaction.site import SiteRedaction
from policies.signing import FileSigner
from policies.signing_socket import SocketSigner
from retrieval.changes import Changes
from retrieval.embeddings import Use, use_of
from retrieval.index import PassageIndex
from retrieval.ingestion import Ingestion, SyncReport
from retrieval.labels import CorpusState, corpus_state
from retrieval.parsing import IsolatedParser, Parser
from retrieval.quarantine import Quarantine
from retrieval.retriever import Retriever
from retrieval.segment_files import IndexFiles
from retrieval.self_test import check_filter

_log = logging.getLogger(__name__)
_COPIES_SECONDS = 3.0
"""How long opening and closing wait for checkpoints to be copied; a command must not seem to hang."""


def require_part(path: Path, what: str, missing: type[Exception]) -> None:
    """Refuse to go on without a file that `muniment init` made: an empty one in its place would hide that it is gone.

    Raises:
        missing: The file is not there, or is empty.
    """
    try:
        there = path.stat().st_size > 0
    except FileNotFoundError:
        there = False
    except OSError as error:
        message = f"The {what} {path} cannot be looked at: {error.strerror}. Check the folder's owner and mode."
        raise missing(message) from error
    if not there:
        message = (
            f"The {what} {path} is missing. Restore it from a backup. If there is none, "
            "`muniment init --missing` makes a new, empty one and says so in the trail."
        )
        raise missing(message)


class Services:
    """One installation, opened."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened; the engine is stopped by whoever started it."""
        if "source_runs" in self.__dict__:
            self.source_runs.close()
        if "redactor" in self.__dict__:
            self.redactor.close()
        if "single_sign_on" in self.__dict__:
            self.single_sign_on.close()
        if "last_use" in self.__dict__:
            self.last_use.close()
        if "usage" in self.__dict__:
            self.usage.close()
        if "trail" in self.__dict__:
            self.trail.close()
        if "changes" in self.__dict__:
            self.changes.close()
        if "copies" in self.__dict__:
            self.copies.close(_COPIES_SECONDS)
        if "database" in self.__dict__:
            self.database.dispose()

    @cached_property
    def config(self) -> Config:
        return load_config(self.home)

    @cached_property
    def networks(self) -> Networks:
        return Networks(self.config.networks)

    @cached_property
    def site_redaction(self) -> SiteRedaction:
        """Kinds of personal data of the site's own. Settings that cannot be used stop whatever needs them."""
        return site_redaction(self.config, self.home.config_file)

    @cached_property
    def keys(self) -> Keys:
        audit = self.config.audit
        if audit.signer:
            return open_keys(self.home.keys, SocketSigner(Path(audit.signer)))
        if audit.signing_key_file:
            return open_keys(self.home.keys, FileSigner(Path(audit.signing_key_file)))
        return open_keys(self.home.keys)

    @cached_property
    def database(self) -> Database:
        require_part(self.home.database, "database", DatabaseUnusableError)
        return open_database(self.home.database)

    @cached_property
    def changes(self) -> Changes:
        """Nothing is looked at yet."""
        return Changes(self.database)

    @cached_property
    def trail_place(self) -> TrailPlace:
        return trail_place(self.home, self.config.audit)

    @cached_property
    def trail(self) -> Trail:
        if isinstance(self.trail_place, Path):
            require_part(self.trail_place, "audit trail", TrailUnavailableError)
        seen = SeenFile(self.home.trail_seen)
        trail = Trail.open(self.trail_place, self.keys, self.copies, self.subjects, seen)
        if self.config.audit.require_copy_seconds:
            self.copies.settle(_COPIES_SECONDS)  # Whether a place lacks the newest checkpoint is to be known.
        return trail

    @cached_property
    def copies(self) -> Copies:
        """Nothing is sent before the trail is opened."""
        return open_copies(self.config.audit, self.home)

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(self.home.erasures, self.keys)

    @cached_property
    def subjects(self) -> Subjects:
        """Who the tokens of the trail stand for. Nothing is opened yet."""
        return Subjects(lambda: self.database, lambda: self.keys, lambda: self.ledger)

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self.trail, self.keys, self.config.audit.deadline_seconds, self.subjects, self._overdue)

    def _overdue(self) -> str:
        return self.copies.overdue

    @cached_property
    def holds(self) -> Holds:
        return Holds(self.database, self.recorder, self.subjects, self.keys, self._asker_of)

    @cached_property
    def retention(self) -> Retention:
        return Retention(
            owned_trail_place(self.home, self.config.audit),
            self.keys,
            self.config.audit.retention,
            self.recorder,
            self.holds.covered,
            self.exported_up_to,
        )

    def exported_up_to(self) -> int | None:
        """The last entry that every configured export has taken; None where there is none."""
        return exported_up_to(self.config.audit, self.home)

    @cached_property
    def stamper(self) -> Stamper:
        """No thread runs yet; `serve` alone asks for time stamps."""
        return open_stamper(self.config.audit, self.home)

    @cached_property
    def exporters(self) -> Exporters:
        """No thread runs yet; `serve` alone sends."""
        return open_exporters(self.config.audit, self.home, self.recorder, self.subjects)

    @cached_property
    def authorizer(self) -> CurrentPolicies:
        return CurrentPolicies(self.database, self._record_policy, self.site_redaction.types, self.changes)

    def _record_policy(self, event: PolicyRefused) -> None:
        """The trail is opened only when there is something to say."""
        self.recorder.submit(event)

    @cached_property
    def bundles(self) -> Bundles:
        return Bundles(self.database, self.recorder, self.authorizer, self.networks.names, self.users.listed)

    @cached_property
    def clock(self) -> SteadyClock:
        """One for all, so that all agree on what is too old."""
        return SteadyClock()

    @cached_property
    def freshness(self) -> Freshness:
        return Freshness(timedelta(minutes=self.config.ldap.max_age_minutes), self.clock)

    @cached_property
    def users(self) -> Users:
        return Users(self.database, self.recorder, self.freshness)

    @cached_property
    def groups(self) -> Groups:
        return Groups(self.database, self.recorder)

    @cached_property
    def ldap(self) -> LdapDirectory:
        """Nothing is connected yet."""
        return LdapDirectory(self.config.ldap, self.home.keys)

    def _read_ldap(self) -> Snapshot:
        """The connection's settings are looked at only once it is read: they may be unusable, or none."""
        return self.ldap.read()

    def _verify_ldap(self, name: str, password: str) -> str:
        return self.ldap.verify(name, password)

    @cached_property
    def directories(self) -> Directories:
        return Directories(self.database, self.recorder, self.config.ldap, self.freshness, read=self._read_ldap)

    @cached_property
    def scim_users(self) -> ScimUsers:
        return ScimUsers(self.database, self.recorder, self.config.scim)

    @cached_property
    def scim_groups(self) -> ScimGroups:
        return ScimGroups(self.database, self.recorder)

    @cached_property
    def last_use(self) -> LastUse:
        return LastUse(self.database)

    @cached_property
    def sessions(self) -> Sessions:
        return Sessions(self.database, self.recorder, self.keys, self.config.sign_in, self.last_use, self.freshness)

    @cached_property
    def callers(self) -> Callers:
        keys = ApiKeys(self.database, self.last_use, self.freshness, changes=self.changes)
        return Callers(keys, self.sessions)

    @cached_property
    def password_sign_in(self) -> PasswordSignIn:
        return PasswordSignIn(
            self.database,
            self.recorder,
            self.keys,
            self.users,
            self.sessions,
            self.config.sign_in,
            freshness=self.freshness,
            directory=self._verify_ldap if self.config.ldap.sign_in else None,
        )

    @cached_property
    def single_sign_on(self) -> SingleSignOn:
        """Nothing is fetched from the provider yet."""
        options = self.config.oidc
        provider = open_provider(options, self.home.keys)
        return SingleSignOn(
            self.database, self.recorder, self.keys, self.sessions, options, provider, freshness=self.freshness
        )

    @cached_property
    def investigations(self) -> Investigations:
        most = self.config.audit.investigation_hours
        return Investigations(self.database, self.recorder, self.keys, most, self.clock.now)

    @cached_property
    def reveals(self) -> Reveals:
        options = self.config.audit
        return Reveals(
            database=self.database,
            recorder=self.recorder,
            keys=self.keys,
            trail=self.trail_place,
            names=self.subjects,
            kept=self.kept_texts,
            principal_of=self.users.principal,
            authorizer=self.authorizer,
            options=RevealOptions(
                timedelta(hours=options.reveal_wait_hours), timedelta(minutes=options.reveal_minutes)
            ),
            clock=self.clock.now,
        )

    @cached_property
    def questions(self) -> Questions:
        """Asking about entries alone needs no database."""
        return Questions(self.trail_place, self.subjects, lambda: self.database, lambda: self.recorder)

    @cached_property
    def explanations(self) -> Explanations:
        return Explanations(self.database, self.users, self.authorizer, self.recorder, self.source_access, self.clock)

    @cached_property
    def catalogue(self) -> Catalogue:
        return load_catalogue()

    @cached_property
    def models(self) -> ModelStore:
        return ModelStore(self.home.models(self.config), self.catalogue)

    @property
    def embedder_use(self) -> Use:
        """Which embedder is in use: the one that the documents are embedded with, else that of the settings."""
        with Session(self.database) as session:
            return use_of(session) or Use(self.config.models.embedder, self.config.models.embedder)

    @cached_property
    def embedder_id(self) -> str:
        """Which model this process searches with."""
        return self.embedder_use.current

    @cached_property
    def embedder(self) -> Embedder:
        """Not loaded yet, which takes seconds: a sync that finds nothing new never needs it."""
        return self.embedder_of(self.embedder_id)

    def embedder_of(self, id_: str) -> Embedder:
        """An embedder, not loaded yet."""
        return Embedder(self.models.path(id_))

    @cached_property
    def redactor(self) -> Finder:
        """No process runs yet."""
        chosen = self.config.models
        return IsolatedRedactor(
            self.models.path(chosen.recogniser),
            self.models.path(chosen.russian_recogniser) if chosen.russian_recogniser else None,
            self.config.redaction,
            self.site_redaction,  # What cannot be used is told here, not by a process that does not start.
        )

    @cached_property
    def quarantine(self) -> Quarantine:
        """Which passages are not found."""
        return Quarantine(frozenset(self.config.retrieval.quarantine))

    @cached_property
    def index(self) -> PassageIndex:
        index = self.index_of(self.embedder, self.embedder_id, self.index_files)
        if not index.restore(self.first_state):
            index.rebuild()
            self.save_index(index)
        index.refresh()
        check_filter(index.layers, self.embedder.dimensions)
        return index

    def index_of(self, embedder: Embedder, id_: str, files: IndexFiles | None) -> PassageIndex:
        """The index of an embedder's vectors, still empty."""
        embedder.load()
        return PassageIndex(
            self.database, embedder.dimensions, embedder.id, files, self.quarantine, self.changes, vectors_of=id_
        )

    @cached_property
    def index_files(self) -> IndexFiles:
        return IndexFiles(self.home.index, self.keys.derive("index-file"))

    @property
    def corpus_now(self) -> CorpusState:
        """The state of the corpus as of now."""
        with Session(self.database) as session:
            return corpus_state(session)

    @cached_property
    def first_state(self) -> CorpusState:
        """The state of the corpus when this process first looked: what was kept of it is brought up to date, later."""
        return self.corpus_now

    def save_index(self, index: PassageIndex) -> None:
        """Keep the index for the next start; without room for it, the next start only takes longer."""
        try:
            index.save()
        except OSError as error:
            _log.warning("index_file_not_written path=%s reason=%s", self.home.index, error.strerror)

    @cached_property
    def retriever(self) -> Retriever:
        retriever = Retriever(
            self.database,
            self.index,
            self.embedder,
            self.authorizer,
            AccessFilters(self.authorizer),
            self.clock,
            self.config.retrieval,
            self.changes,
        )
        retriever.search_with(self.index, self.embedder, self.embedder_use.names(self.embedder_id))
        return retriever

    @cached_property
    def new_parser(self) -> Callable[[], AbstractContextManager[Parser]]:
        """What a run parses documents with: a process of its own."""
        return IsolatedParser

    @cached_property
    def ingestion(self) -> Ingestion:
        _ = self.first_state
        key = self.keys.lasting("document-identity")
        use = self.embedder_use
        read_with = [use.original, *self.config.models.recognisers, self.site_redaction.digest]
        models = "/".join(filter(None, read_with))
        forgotten = ForgottenPeople(lambda: self.database, self.ledger, self.subjects, self.keys)
        return Ingestion(
            self.database, self.embedder, self.redactor, key, self.home.locks, self.new_parser, models, forgotten, use
        )

    @cached_property
    def sources(self) -> Sources:
        return Sources(self.database, self.recorder, self.clock)

    @cached_property
    def owners(self) -> Owners:
        def users() -> list[str]:
            return [user.id for user in self.users.listed()]

        def groups() -> list[str]:
            return [view.group for view in self.groups.listed()]

        return Owners(self.database, self.recorder, users, groups)

    @cached_property
    def flags(self) -> Flags:
        return Flags(self.database, self.recorder, self.quarantine)

    @cached_property
    def source_access(self) -> SourceAccess:
        return SourceAccess(self.owners, self.authorizer, self.recorder)

    @cached_property
    def source_runs(self) -> SourceRuns:
        """No thread runs yet."""

        def sync(source: str, by: str, on_progress: Callable[[SyncReport], None]) -> object:
            return self.sources.sync(source, self.ingestion, by, on_progress)

        return SourceRuns(sync)

    @cached_property
    def history(self) -> History:
        """Which model worked when."""
        return History(self.database)

    @cached_property
    def evaluations(self) -> StoredReports:
        """Reports of before."""
        return StoredReports(self.home.evaluations, self.keys)

    @cached_property
    def searches(self) -> Searches:
        return Searches(self.retriever, self.authorizer, self.recorder)

    @cached_property
    def generator(self) -> Artefact | Upstream:
        """The default model."""
        return self.generator_named(self.config.models.generator)

    def generator_named(self, name: str) -> Artefact | Upstream:
        """A model that answers: an upstream of the settings, or one of the catalogue.

        Raises:
            CatalogueError: It is neither.
            ConfigurationError: It is both.
        """
        upstream = self.config.models.upstream(name)
        if upstream is None:
            return self.catalogue.artefact(name)
        if any(artefact.id == name for artefact in self.catalogue.artefacts):
            message = f"The upstream {name} has the name of a model of the catalogue. Give it another one."
            raise ConfigurationError(message)
        return upstream

    @cached_property
    def engine(self) -> Engine:
        """The default model's."""
        return self.engine_of(self.generator)

    @cached_property
    def served(self) -> ServedModels:
        """Nothing is loaded yet."""
        chosen = self.config.models
        names = [*chosen.also, *(upstream.name for upstream in chosen.upstreams)]
        others = [self.generator_named(name) for name in names if name != self.generator.id]
        return ServedModels(
            self.served_model(self.generator, self.engine),
            (self.served_model(model, self.engine_of(model)) for model in others),
            fallback_local=chosen.fallback_local,
        )

    @cached_property
    def upstreams(self) -> dict[str, UpstreamEngine]:
        """By name. Nothing is connected yet."""
        return {each.name: UpstreamEngine(each, self.home.keys) for each in self.config.models.upstreams}

    def engine_of(self, model: Artefact | Upstream) -> Engine:
        """What asks a generator: a process of its own, or its servers; nothing is loaded yet."""
        if isinstance(model, Upstream):
            return self.upstreams[model.name]
        options = self.config.models
        return LlamaEngine(
            partial(self._locate, model),
            artefact=model,
            context_tokens=options.context_tokens,
            cache_tokens=options.cache_tokens,
            at_once=options.at_once,
            threads=options.threads,
            gpu_layers=options.gpu_layers,
        )

    def _locate(self, artefact: Artefact) -> Path:
        require_template(artefact)
        return self.models.locate(artefact.id)

    def served_model(self, model: Artefact | Upstream, engine: Engine) -> ServedModel:
        """What it said is remembered for a while, and forgotten when somebody is erased."""
        seconds = self.config.answers.remembered_seconds
        remembering = RememberingEngine(engine, seconds, since=lambda: self.ledger.stamp)
        return ServedModel(model.id, model.sha256, remembering, isinstance(model, Upstream) and model.remote)

    @cached_property
    def erasures(self) -> Erasures:
        return Erasures(
            database=self.database,
            recorder=self.recorder,
            subjects=self.subjects,
            holds=self.holds,
            conversations=self.conversations,
            kept=self.kept_texts,
            ledger=self.ledger,
            keys=self.keys,
            index_files=self.index_files,
            failures_under=self.password_sign_in.name_digest,
            asker_of=self._asker_of,
            settings=lambda: self.home.config_file.read_text(encoding="utf-8"),
        )

    async def forget_erased(self) -> None:
        """Let go of everything in memory of whoever was erased since the last time; costs a look at a file."""
        self.subjects.forget_if_due()
        if "served" in self.__dict__:
            await self.served.forget_if_due()

    def purge_kept_texts(self) -> int:
        """Remove the texts that were kept for their time; returns how many."""
        return self.kept_texts.purge(self.config.audit.texts_kept_days, self.clock.now())

    def _asker_of(self, request: str) -> str:
        """Who made a request, by what the trail calls them; empty where it holds no such request."""
        found = (
            entry.event.get("principal", "") for entry in read_entries(self.trail_place, EntryQuery(request=request))
        )
        return next((str(token) for token in found if token), "")

    @cached_property
    def conversations(self) -> Conversations:
        return Conversations(self.database, self.keys, self.subjects)

    @cached_property
    def kept_texts(self) -> KeptTexts:
        return KeptTexts(self.database, self.subjects)

    @cached_property
    def usage(self) -> Usage:
        """No thread runs yet."""
        return Usage(
            database=lambda: self.database, recorder=self.recorder, options=self.config.usage, now=self.clock.now
        )

    @cached_property
    def usage_reports(self) -> Reports:
        return Reports(
            lambda: self.database,
            self.config.usage,
            self.clock.now,
            names=self.subjects.names,
            find=self.subjects.find,
            flush=self.usage.flush,
        )

    @cached_property
    def chats(self) -> Chats:
        self.redactor.load()
        chats = Chats(
            retriever=self.retriever,
            redactor=self.redactor,
            authorizer=self.authorizer,
            models=self.served,
            recorder=self.recorder,
            conversations=self.conversations,
            kept=self.kept_texts if self.config.audit.texts_kept_days else None,
            keys=self.keys,
            options=self.config.answers,
            author_share=self.config.retrieval.author_share,
            usage=self.usage,
            context_tokens=self.config.models.context_tokens,
        )
        chats.versions = self.versions_beside
        return chats

    @property
    def versions_beside(self) -> dict[str, str]:
        """The digests of the models that work beside a generator."""
        return digests(supporting_versions(self.catalogue, self.config.models, self.embedder_id))


def services_of(folder: str | Path) -> Services:
    """The services of a home folder."""
    return Services(Home(Path(folder)))
