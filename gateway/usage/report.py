"""Reports on what was used: read and added up when somebody asks."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import Engine
from sqlmodel import Session

from gateway.errors import BadRequestError
from gateway.identity.memberships import all_memberships, all_nestings, closure_of
from gateway.usage.book import standing
from gateway.usage.limits import applying, period_end
from gateway.usage.options import LimitOptions, UsageOptions
from gateway.usage.schemas import Grouping, LimitState, OwnUsage, UsageLine, UsageReport
from gateway.usage.store import NOBODY, UsageRow, totals_between
from gateway.usage.taken import amount, counted, told
from policies.errors import TooManyGroupsError
from policies.principals import Principal

ERASED = "(erased)"
NO_GROUP = "(no group)"
"""What stands for those of whom no name is known any more, and for those in no group; no user or group is called so."""
_MILLISECONDS = 1000
_MOST_DAYS = 3660


class Reports:
    """What was used, of one installation. `names` tells who stands behind tokens, `find` by which somebody goes."""

    def __init__(
        self,
        database: Callable[[], Engine],
        options: UsageOptions,
        now: Callable[[], datetime],
        *,
        names: Callable[[Collection[str]], Mapping[str, str]],
        find: Callable[[str], str | None],
        flush: Callable[[], None],
    ) -> None:
        self._database = database
        self._options = options
        self._now = now
        self._names = names
        self._find = find
        self._flush = flush

    def report(self, grouping: Grouping, first: date | None = None, last: date | None = None) -> UsageReport:
        """What everybody used from one day to another; without days, in this month so far.

        Raises:
            BadRequestError: The last day is before the first, or too many days are asked for.
        """
        first_day, last_day = self._days(first, last)
        self._flush()
        with Session(self._database()) as session:
            rows = totals_between(session, first_day, last_day)
            names = self._names_of(session, grouping, rows)
        lines = _lines(rows, names)
        return UsageReport(grouping, first_day, last_day, self._options.currency, lines, _line("total", rows))

    def own(self, principal: Principal, first: date | None = None, last: date | None = None) -> OwnUsage:
        """What somebody used, and how their limits stand.

        Raises:
            BadRequestError: As above.
        """
        first_day, last_day = self._days(first, last)
        token = self._find(principal.id) or NOBODY
        self._flush()
        with Session(self._database()) as session:
            rows = totals_between(session, first_day, last_day, token) if token else []
            limits = [self._state(session, limit, token) for limit in self._limits_of(principal)]
        return OwnUsage(
            first_day,
            last_day,
            self._options.currency,
            _lines(rows, lambda row: [row.day]),
            _lines(rows, lambda row: [row.model]),
            _line("total", rows),
            limits,
        )

    def _limits_of(self, principal: Principal) -> list[LimitOptions]:
        """Every limit that some question of somebody's falls under."""
        return applying(self._options.limits, principal, {limit.model for limit in self._options.limits})

    def _state(self, session: Session, limit: LimitOptions, token: str) -> LimitState:
        count = standing(session, limit, token, self._now())
        return LimitState(
            name=limit.name,
            what=limit.what,
            per=limit.per,
            model=limit.model,
            shared=limit.together,
            most=told(limit.what, counted(limit.what, limit.most)),
            used=told(limit.what, count.used),
            reserved=told(limit.what, count.reserved),
            resets_at=period_end(limit.per, count.period),
        )

    def _days(self, first: date | None, last: date | None) -> tuple[str, str]:
        today = self._now().date()
        last = last or max(today, first or today)
        first = first or last.replace(day=1)
        if not timedelta(0) <= last - first < timedelta(days=_MOST_DAYS):
            message = f"From {first} to {last} is no span of 1 to {_MOST_DAYS} days. Name the first day, then the last."
            raise BadRequestError(message)
        return first.isoformat(), last.isoformat()

    def _names_of(
        self, session: Session, grouping: Grouping, rows: Collection[UsageRow]
    ) -> Callable[[UsageRow], Collection[str]]:
        """What a row belongs to."""
        if grouping is Grouping.DAY:
            return lambda row: [row.day]
        if grouping is Grouping.MODEL:
            return lambda row: [row.model]
        users = self._names({row.token for row in rows})
        if grouping is Grouping.USER:
            return lambda row: [users.get(row.token, ERASED)]
        memberships, nestings = all_memberships(session), all_nestings(session)
        groups = {token: _groups_of(user, memberships, nestings) for token, user in users.items()}
        return lambda row: groups.get(row.token, [ERASED])


def _groups_of(user: str, memberships: Mapping[str, set[str]], nestings: Mapping[str, set[str]]) -> Collection[str]:
    try:
        return closure_of(user, memberships, nestings) or [NO_GROUP]
    except TooManyGroupsError:  # Then they are denied everything, so there is little to report.
        return [NO_GROUP]


def _lines(rows: Iterable[UsageRow], names: Callable[[UsageRow], Collection[str]]) -> list[UsageLine]:
    of: defaultdict[str, list[UsageRow]] = defaultdict(list)
    for row in rows:
        for name in names(row):
            of[name].append(row)
    return [_line(name, found) for name, found in sorted(of.items())]


def _line(name: str, rows: Iterable[UsageRow]) -> UsageLine:
    def total(column: str) -> int:
        return sum(getattr(row, column) for row in rows)

    rows = list(rows)
    questions = total("answered") + total("abstained") + total("failed")
    priced = questions > total("unpriced")
    return UsageLine(
        name=name,
        questions=questions,
        abstained=total("abstained"),
        failed=total("failed"),
        refused=total("refused"),
        prompt_tokens=total("prompt_tokens"),
        cached_tokens=total("cached_tokens"),
        completion_tokens=total("completion_tokens"),
        checks=total("checks"),
        compute_seconds=total("compute_ms") / _MILLISECONDS,
        cost=f"{amount(total('cost_billionths')).normalize():f}" if priced else None,
        unpriced=total("unpriced"),
    )
