"""Loading a site's own rules: checked, tried, recorded, and then in force everywhere at once."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import NotFoundError
from gateway.policy.current import CurrentPolicies, as_loaded
from gateway.policy.readers import alike
from gateway.policy.store import PolicyBundleRow, read_rows
from gateway.recording import Recorder
from policies.audit.events import PolicyChanged, PolicyRefused
from policies.authorizer import Authorizer, shipped, with_types
from policies.bundles import Bundle, RuleChanges, compile_bundle, rule_changes
from policies.context import Purpose, RequestContext
from policies.errors import PolicyInvalidError, TrailUnavailableError
from policies.labels import Label
from policies.principals import Principal
from policies.rules import Rule
from retrieval.labels import all_labels, next_epoch
from retrieval.sessions import writing

_MOST_TRIED = 50
"""Readers a bundle is tried on; they stand for all who differ in groups, roles or by name."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a bundle did, or would do."""

    revision: str
    previous: str
    changes: RuleChanges
    rules: int

    @property
    def same(self) -> bool:
        """Whether nothing changes."""
        return self.revision == self.previous


@dataclass(frozen=True, slots=True)
class LoadedBefore:
    """A bundle of the history; `current` is the one that should be in force."""

    id: int
    revision: str
    by: str
    loaded_at: datetime
    files: tuple[str, ...]
    current: bool


class Bundles:
    """The site's own rules."""

    def __init__(
        self,
        database: Engine,
        recorder: Recorder,
        policies: CurrentPolicies,
        networks: frozenset[str],
        users: Callable[[], list[Principal]],
    ) -> None:
        self._database = database
        self._recorder = recorder
        self._policies = policies
        self._networks = networks
        self._users = users

    def check(self, bundle: Bundle) -> Authorizer:
        """A bundle, ready to decide, after everything about it was found to be in order.

        Raises:
            PolicyInvalidError: It does not fit the schema, or fails on what is stored.
        """
        made = compile_bundle(bundle, self._networks, self._policies.types)
        problems = self._tried(made)
        if problems:
            listed = "".join(f"\n  - {problem}" for problem in problems)
            message = f"The policies fail on what is stored, and were not loaded. Those in force stay:{listed}"
            raise PolicyInvalidError(message, tuple(problems))
        return made

    def proposed(self, bundle: Bundle) -> Loaded:
        """What loading the bundle would change.

        Raises:
            PolicyInvalidError: It cannot be loaded.
        """
        return _loaded(self._policies.latest(), self.check(bundle))

    def load(self, bundle: Bundle, by: str) -> Loaded:
        """Put a bundle in force, in every process, from the next request on.

        Raises:
            PolicyInvalidError: It cannot be loaded; the trail says that it was tried.
            TrailUnavailableError: The change could not be recorded, so it was not made.
        """
        try:
            made = self.check(bundle)
        except PolicyInvalidError as error:
            self._record_refusal(by, error)
            raise
        return self._put_in_force(bundle, made, by)

    def rollback(self, by: str, revision: str | None = None) -> Loaded:
        """Put an earlier bundle in force again: the one before, or the newest whose revision begins so.

        Raises:
            NotFoundError: There is no such bundle.
            PolicyInvalidError: It does not fit this version.
            TrailUnavailableError: The change could not be recorded, so it was not made.
        """
        with Session(self._database) as session:
            rows = read_rows(session)
        before = [row for row in rows[1:] if rows and row.files != rows[0].files]
        found = next((row for row in rows if revision and row.revision.startswith(revision)), None)
        if revision is None and before:
            found = before[0]
        if found is None and (revision is not None or not rows or rows[0].files == Bundle().stored()):
            message = (
                f"There are no earlier policies{f' {revision}' if revision else ''}. See `muniment policy history`."
            )
            raise NotFoundError(message)
        # Before the first bundle there were the shipped rules alone.
        return self.load(Bundle.from_stored(found.files) if found else Bundle(), by)

    def adopt(self, by: str) -> None:
        """Note in trail and history that this version's shipped policies decide from now on, where they are others.

        Raises:
            TrailUnavailableError: It could not be recorded, so the service must not start.
        """
        with Session(self._database) as session:
            rows = read_rows(session)[:1]
        in_force = self._policies.latest()
        if rows and rows[0].revision != in_force.revision and not self._policies.health.problem:
            self._put_in_force(Bundle.from_stored(rows[0].files), in_force, by, rows[0])

    def history(self) -> list[LoadedBefore]:
        """Every bundle that was ever loaded, newest first."""
        with Session(self._database) as session:
            rows = read_rows(session)
        return [
            LoadedBefore(
                id=row.id or 0,
                revision=row.revision,
                by=row.by,
                loaded_at=row.loaded_at,
                files=tuple(name for name, _ in Bundle.from_stored(row.files).files),
                current=number == 0,
            )
            for number, row in enumerate(rows)
        ]

    def rules(self) -> tuple[str, tuple[Rule, ...]]:
        """The revision in force, and its rules."""
        authorizer = self._policies.latest()
        return authorizer.revision, authorizer.rules

    def _put_in_force(
        self, bundle: Bundle, made: Authorizer, by: str, previous: PolicyBundleRow | None = None
    ) -> Loaded:
        loaded = _loaded(as_loaded(previous, self._policies.types) if previous else self._policies.latest(), made)
        if previous is not None:
            loaded = replace(loaded, previous=previous.revision)
        if loaded.same:
            return loaded
        policies, schema = shipped()
        schema = with_types(schema, self._policies.types)
        self._recorder.token(by)  # Not below, where the write lock is held: whoever is new is given one.
        # The write lock is held while the trail is written, so that the trail has changes in the order they happened.
        with writing(self._database) as session:
            self._recorder.record_now(
                PolicyChanged(
                    by=by,
                    policy_revision=loaded.revision,
                    previous=loaded.previous,
                    added=loaded.changes.added,
                    removed=loaded.changes.removed,
                    changed=loaded.changes.changed,
                )
            )
            next_epoch(session)
            session.add(
                PolicyBundleRow(
                    revision=made.revision, files=bundle.stored(), shipped=policies, schema_text=schema, by=by
                )
            )
            session.commit()
        self._policies.latest()
        return loaded

    def _record_refusal(self, by: str, error: PolicyInvalidError) -> None:
        revision = self._policies.latest().revision
        try:
            self._recorder.record_now(
                PolicyRefused(by=by, policy_revision=revision, problems=max(1, len(error.problems)))
            )
        except TrailUnavailableError as unavailable:
            # Nothing changes, so nothing must wait for the trail; whoever tried is told of both.
            error.add_note(str(unavailable))

    def _tried(self, made: Authorizer) -> list[str]:
        """What goes wrong when the rules are tried on the stored labels and users, and does not go wrong now."""
        with Session(self._database) as session:
            labels = all_labels(session)
        groups = alike(self._users(), labels.values(), made.rules)
        tried = [principals[0] for principals in groups][:_MOST_TRIED] or [Principal("nobody")]
        return list(dict.fromkeys(_failures(self._policies.latest(), made, tried, labels)))


def _failures(
    before: Authorizer, made: Authorizer, principals: Iterable[Principal], labels: dict[int, Label]
) -> Iterable[str]:
    for principal in principals:
        for purpose in Purpose:
            context = RequestContext(purpose)
            now = made.decide_labels(principal, labels, context)
            failing = {number for number, decision in now.items() if decision.failed}
            if failing:
                already = before.decide_labels(principal, {number: labels[number] for number in failing}, context)
                yield from (now[number].reason for number in failing if not already[number].failed)


def _loaded(before: Authorizer, after: Authorizer) -> Loaded:
    return Loaded(after.revision, before.revision, rule_changes(before.rules, after.rules), len(after.rules))
