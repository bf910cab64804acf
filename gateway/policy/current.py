"""The policies in force: those of the newest loaded bundle, the same ones in every process.

Whoever decides asks here. A request holds on to one bundle from its beginning to its end (`pinned`); outside of one,
each decision looks first whether other policies have become current. Policies that cannot be used change nothing: the
last good ones stay, somebody is told, and where there are none, everything is denied but asking for the health.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.policy.store import Head, PolicyBundleRow, read_head, read_row
from policies.actions import Action
from policies.audit.events import PolicyRefused
from policies.authorizer import Authorizer
from policies.bundles import Bundle, compile_bundle
from policies.context import RequestContext
from policies.decisions import Decision
from policies.errors import PolicyInvalidError
from policies.labels import Label
from policies.personal_data import KnownTypes, SpanType
from policies.principals import Principal
from policies.sources import OwnedSource
from retrieval.changes import Changes

_log = logging.getLogger(__name__)
_ANSWERING = RequestContext()
_FOUND_BY = "muniment"
_BUILT_IN_TYPES = KnownTypes()
_pinned: ContextVar[tuple[object, Authorizer] | None] = ContextVar("pinned_policies", default=None)
"""Whose policies a request holds on to, and which these are."""


@dataclass(frozen=True, slots=True)
class PolicyHealth:
    """How the policies are: what decides, what should, and why that is not the same, where it is not."""

    revision: str
    stored: Head | None
    problem: str = ""
    refused: int = 0


class CurrentPolicies:
    """Decides by the policies in force. Safe across threads."""

    def __init__(
        self,
        database: Engine,
        report: Callable[[PolicyRefused], object],
        types: KnownTypes = _BUILT_IN_TYPES,
        changes: Changes | None = None,
    ) -> None:
        """Nothing is read yet; `report` is told when stored policies cannot be used.

        `types` are the kinds of personal data there are here.
        """
        self.types = types
        self._database = database
        self._report = report
        self._lock = threading.Lock()
        self._changes = changes or Changes(database)
        self._looked_at: tuple[int, str] | None = None
        self._head: Head | None = None
        self._authorizer: Authorizer | None = None
        self._closed = Authorizer.closed()
        self._problem = ""
        self._refused = 0

    @contextmanager
    def pinned(self, authorizer: Authorizer | None = None) -> Iterator[None]:
        """Decide everything within by the policies of its beginning, or by those given, which `latest` gave."""
        held = _pinned.set((self, authorizer or self.now()))
        try:
            yield
        finally:
            _pinned.reset(held)

    def now(self) -> Authorizer:
        """The policies that this request holds on to; outside of one, those in force."""
        held = _pinned.get()
        return held[1] if held is not None and held[0] is self else self.latest()

    def known(self) -> Authorizer | None:
        """The policies in force, if it can be told at once that they still are; none where `latest` has to look."""
        marks = self._changes.glance()
        if marks is None or self._looked_at != (marks.schema, marks.policies):
            return None
        return self._authorizer

    def latest(self) -> Authorizer:
        """The policies in force, after a look at whether others have become current."""
        try:
            marks = self._changes.marks()
            looked_at = (marks.schema, marks.policies)
            with self._lock:
                if self._authorizer is None or looked_at != self._looked_at:
                    head = read_head(self._database)
                    if self._authorizer is None or head != self._head:
                        self._authorizer = self._usable(head)
                        self._head = head
                    self._looked_at = looked_at
                return self._authorizer
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be decided by what cannot be looked up
            # Not the last good ones here: without the database nobody can say that they still are in force.
            _log.error("policies_not_read error=%s", type(error).__name__)
            return self._closed

    @property
    def health(self) -> PolicyHealth:
        """How the policies are, as of now."""
        authorizer = self.latest()
        unread = "The database cannot be read, so everything is denied." if authorizer is self._closed else ""
        with self._lock:
            return PolicyHealth(authorizer.revision, self._head, self._problem or unread, self._refused)

    @property
    def revision(self) -> str:
        """Which policies and schema decide."""
        return self.now().revision

    def decide(self, principal: Principal, action: Action, context: RequestContext = _ANSWERING) -> Decision:
        """May this principal do this at all?"""
        return self.now().decide(principal, action, context)

    def decide_sources(
        self,
        principal: Principal,
        action: Action,
        sources: Collection[OwnedSource],
        context: RequestContext = _ANSWERING,
    ) -> dict[str, Decision]:
        """For which of these sources, by their names, may the principal do this?"""
        return self.now().decide_sources(principal, action, sources, context)

    def decide_labels(
        self, principal: Principal, labels: Mapping[int, Label], context: RequestContext = _ANSWERING
    ) -> dict[int, Decision]:
        """Which of these labels may the principal read?"""
        return self.now().decide_labels(principal, labels, context)

    def decide_remote(
        self, principal: Principal, labels: Collection[Label], context: RequestContext = _ANSWERING
    ) -> dict[Label, Decision]:
        """Of which of these labels may documents be sent to a model on another machine, for this principal?"""
        return self.now().decide_remote(principal, labels, context)

    def decide_reveals(
        self,
        principal: Principal,
        types: Collection[SpanType],
        labels: Collection[Label],
        context: RequestContext = _ANSWERING,
    ) -> dict[Label, dict[SpanType, Decision]]:
        """Which kinds of personal data may the principal see in documents of each of these labels?"""
        return self.now().decide_reveals(principal, types, labels, context)

    def _usable(self, head: Head | None) -> Authorizer:
        """The policies that decide while these are current."""
        row = None
        try:
            if head is None:
                made = Authorizer.load(types=self.types)
            else:
                row = read_row(self._database, head.id)
                if row is None:
                    message = f"The policies {head.id} are gone from the database."
                    raise PolicyInvalidError(message)  # noqa: TRY301 - one way to be told of every fault
                made = compile_bundle(Bundle.from_stored(row.files), types=self.types)
        except PolicyInvalidError as error:
            instead = self._authorizer or (self._closed if row is None else as_loaded(row, self.types))
            self._problem = str(error)
            self._refused += 1
            _log.error("policy_refused in_force=%s reason=%s", instead.revision, error)
            self._tell(PolicyRefused(by=_FOUND_BY, policy_revision=instead.revision, problems=len(error.problems)))
            return instead
        self._problem = ""
        return made

    def _tell(self, event: PolicyRefused) -> None:
        try:
            self._report(event)
        except Exception as error:  # noqa: BLE001 - the log has it; a trail that takes nothing stops answers by itself
            _log.error("policy_refusal_not_recorded error=%s", type(error).__name__)


def as_loaded(row: PolicyBundleRow, types: KnownTypes) -> Authorizer:
    """A bundle as it was when it was loaded: with the shipped policies and the schema of that version.

    What this version tells of documents may not fit that schema, and is denied then. An older bundle is never taken
    instead of the newest: it may allow what that one was loaded to forbid.
    """
    try:
        return Authorizer(row.shipped, row.schema_text, Bundle.from_stored(row.files).text, types=types)
    except PolicyInvalidError as error:
        _log.error("policy_refused in_force=none reason=%s", error)
        return Authorizer.closed()
