"""What a bundle would change is told before it is in force, and equals what it then does change."""

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.contract import Part
from gateway.audit.access import Looking
from gateway.contexts import local_context
from gateway.policy.readers import alike, contexts_that_differ
from gateway.policy.reports import simulate_bundle
from gateway.policy.simulation import Simulation
from policies.actions import Action
from policies.audit.events import TrailRead
from policies.authorizer import Authorizer
from policies.bundles import Bundle
from policies.context import Channel, Purpose, RequestContext
from policies.errors import PolicyInvalidError
from policies.labels import Classification, Label
from policies.principals import Principal, PrincipalKind, Role
from retrieval.labels import all_labels
from retrieval.sessions import writing
from retrieval.tables import SourceRow
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import World, recorded

CLOSE_FINANCE = """@id("no-finance") @reason("Finance is closed.")
forbid (principal, action == Action::"documents:read", resource)
when { resource.allow_groups.contains(Group::"finance") && context.purpose == "search" };"""
OPEN_FINANCE = """@id("all-finance")
permit (principal, action == Action::"documents:read", resource)
when { resource.allow_groups.contains(Group::"finance") };"""
REVEAL = """@id("cards")
permit (principal in Group::"finance", action == Action::"personal-data:reveal", resource)
when { context.entity_type == EntityType::"CREDIT_CARD" };"""
MANAGE = '@id("bob-manages") permit (principal == User::"bob", action == Action::"users:manage", resource);'
SEND = '@id("send") permit (principal in Role::"employee", action == Action::"models:send-remote", resource);'


def simulate(world: World, text: str, since: datetime | None = None) -> Simulation:
    steps: list[tuple[str, int, int]] = []
    simulation = simulate_bundle(
        world.services, Bundle.of({"a.cedar": text}), since, Looking("olga"), lambda *step: steps.append(step)
    )
    assert steps[-1][1] == steps[-1][2]
    return simulation


def search(world: World, user: str, query: str, purpose: Purpose = Purpose.SEARCH) -> None:
    principal = world.services.users.principal(user)
    asyncio.run(world.services.searches.search(principal, query, 5, local_context(purpose)))


def test_what_was_shown_and_would_not_be_is_told(world: World) -> None:
    search(world, "alice", "Kestrel budget")
    search(world, "alice", "holidays in January")
    search(world, "bob", "Kestrel budget")
    simulation = simulate(world, CLOSE_FINANCE)
    replay = simulation.replay
    assert (replay.requests, replay.already_lost, replay.not_replayable) == (3, 0, 0)
    budget = next(iter(recorded(world, "passages:retrieved")))["documents"]
    assert [(lost.principal, lost.policies) for lost in replay.lost][-1] == ("alice", ["no-finance"])
    assert set(replay.lost[-1].documents) < set(budget)
    assert replay.losing == len(replay.lost)
    assert simulation.losses.documents == 1
    assert simulation.lost[0].users == ["alice"]
    assert simulation.lost[0].contexts == ["search from other by http"]
    assert not simulation.somebody_gains
    assert recorded(world, TrailRead.kind)[-1]["operation"] == "simulate"


def test_the_replay_is_what_the_policies_then_do(world: World) -> None:
    search(world, "alice", "Kestrel budget")
    before = recorded(world, "passages:retrieved")[-1]
    lost = simulate(world, CLOSE_FINANCE).replay.lost
    world.services.bundles.load(Bundle.of({"a.cedar": CLOSE_FINANCE}), by="olga")
    search(world, "alice", "Kestrel budget")
    after = recorded(world, "passages:retrieved")[-1]
    assert set(before["documents"]) - set(after["documents"]) == set(lost[0].documents)


def test_only_questions_since_then_are_replayed(world: World) -> None:
    search(world, "alice", "Kestrel budget")
    now = datetime.now(UTC)
    assert simulate(world, CLOSE_FINANCE, now + timedelta(hours=1)).replay.requests == 0
    assert simulate(world, CLOSE_FINANCE, now - timedelta(hours=1)).replay.requests == 1


def test_questions_of_who_is_gone_are_counted_and_not_guessed(world: World) -> None:
    stranger = Principal("stranger", frozenset({"finance"}))
    asyncio.run(world.services.searches.search(stranger, "Kestrel", 5, local_context(Purpose.SEARCH)))
    replay = simulate(world, CLOSE_FINANCE).replay
    assert (replay.requests, replay.not_replayable, replay.losing) == (1, 1, 0)


def test_a_gain_is_told_with_its_weight(world: World) -> None:
    simulation = simulate(world, OPEN_FINANCE)
    gained = [change for change in simulation.gained if change.action == Action.DOCUMENTS_READ]
    everybody_else = {user.id for user in world.services.users.listed()} - {"alice"}
    assert {user for change in gained for user in change.users} == everybody_else
    assert simulation.gains.documents == len(everybody_else)
    assert simulation.somebody_gains
    assert simulation.gains.kinds > 0, "who may read sees contacts"
    assert simulation.losses.documents == 0


def test_gains_in_actions_kinds_and_sending_are_told(world: World) -> None:
    assert simulate(world, MANAGE).gained[0].users == ["bob"]
    assert [(change.users, change.kinds) for change in simulate(world, REVEAL).gained] == [
        (["alice"], ["CREDIT_CARD"]),
        (["alice"], ["CREDIT_CARD"]),
    ]
    sent = simulate(world, SEND)
    assert {change.action for change in sent.gained} == {"models:send-remote"}
    assert {user for change in sent.gained for user in change.users} == {"alice", "bob"}
    assert all(simulate(world, text).somebody_gains for text in (MANAGE, REVEAL, SEND))


def test_taking_rules_away_is_simulated_too(world: World) -> None:
    world.services.bundles.load(Bundle.of({"a.cedar": MANAGE + CLOSE_FINANCE}), by="olga")
    simulation = simulate(world, "")
    assert [change.action for change in simulation.lost] == ["users:manage"]
    assert (simulation.gains.documents, simulation.losses.actions) == (1, 1)


def test_nothing_new_changes_nothing(world: World) -> None:
    search(world, "alice", "Kestrel budget")
    simulation = simulate(world, "// a remark")
    assert (simulation.somebody_gains, simulation.lost, simulation.replay.losing) == (False, [], 0)


def test_a_bad_bundle_is_not_simulated(world: World) -> None:
    with pytest.raises(PolicyInvalidError):
        simulate(world, "permit (")


def test_a_simulation_changes_nothing(world: World) -> None:
    before = world.services.authorizer.revision
    simulate(world, OPEN_FINANCE)
    assert world.services.authorizer.revision == before
    assert world.services.bundles.history() == []


# Who is alike must be alike: against deciding on everybody by themselves.

NAMES = ["ada", "bob", "eve", "root", ""]
SITES = [
    "",
    OPEN_FINANCE,
    '@id("x") permit (principal == User::"eve", action == Action::"documents:read", resource);',
    '@id("x") permit (principal, action == Action::"documents:read", resource) when { principal == Service::"bob" };',
    """@id("x") forbid (principal, action == Action::"documents:read", resource)
    when { context.network != "local" && (principal == User::"ada" || principal in Group::"finance") };""",
    """@id("x") forbid (principal is Service, action == Action::"documents:read", resource)
    unless { context.channel == "cli" };""",
]


@pytest.mark.parametrize("site", SITES)
def test_who_is_taken_for_alike_is_decided_alike(site: str) -> None:
    rng = random.Random(site)
    authorizer = Authorizer.load(site)
    some = lambda *names: frozenset(name for name in names if rng.random() < 0.4)  # noqa: E731
    principals = [
        Principal(
            rng.choice(NAMES),
            some("finance", "staff"),
            some(*Role),
            rng.choice(list(PrincipalKind)),
            active=rng.random() < 0.8,
        )  # type: ignore[arg-type]
        for _ in range(24)
    ]
    labels = {
        number: Label(
            some("finance", "staff"), some("ada", "bob"), some("staff"), some("bob"), rng.choice(list(Classification))
        )
        for number in range(8)
    }
    contexts = [
        RequestContext(purpose, network, channel)
        for purpose in (Purpose.ANSWER, Purpose.SEARCH)
        for network in ("local", "office")
        for channel in (Channel.CLI, Channel.HTTP)
    ]
    told_apart = contexts_that_differ(authorizer.rules, {"office"})
    for together in alike(principals, labels.values(), authorizer.rules):
        expected = {
            context: [d.allowed for d in authorizer.decide_labels(together[0], labels, context).values()]
            for context in contexts
        }
        for principal in together[1:]:
            for context in contexts:
                found = [d.allowed for d in authorizer.decide_labels(principal, labels, context).values()]
                assert found == expected[context], (principal, together[0])
        answers = {tuple(answer) for answer in expected.values()}
        assert answers <= {
            tuple(d.allowed for d in authorizer.decide_labels(together[0], labels, context).values())
            for context in told_apart
        }


def test_labels_of_documents_are_what_is_compared(world: World) -> None:
    with writing(world.services.database) as session:
        stored = all_labels(session)
    assert simulate(world, OPEN_FINANCE).labels == len(stored) == 2


def test_parts_with_labels_of_their_own_are_compared(world: World) -> None:
    """No document as a whole has the label of a part."""
    with writing(world.services.database) as session:
        session.add(SourceRow(name="extra", type="list", settings="{}"))
        session.commit()
    text = "# Letters\n\nSent by post.\n\n## Salaries\n\nAda earns 90000."
    part = Part("salaries", Label.for_groups("board"))
    letter = replace(page("letter", text, Label.for_groups("everyone")), parts=(part,))
    world.services.ingestion.sync("extra", ListConnector(letter))
    simulation = simulate(
        world,
        """@id("board-opens") permit (principal, action == Action::"documents:read", resource)
        when { resource.allow_groups.contains(Group::"board") };""",
    )
    gained = [one for one in simulation.gained if one.action == "documents:read"]
    assert {user for one in gained for user in one.users} == {"alice", "bob"}
    assert {(tuple(one.label.allow_groups), one.label.documents) for one in gained if one.label} == {(("board",), 1)}
    assert simulation.gains.documents == 2


def test_what_people_may_do_with_a_source_is_compared(world: World) -> None:
    world.services.users.add({"sam": frozenset()}, frozenset({Role.SOURCE_OWNER}), by="test")
    world.services.owners.change("company", ["sam"], [], by="test")
    simulation = simulate(
        world,
        """@id("no-syncs") forbid (principal, action == Action::"sources:sync", resource is Source)
        when { principal in Role::"source-owner" };
        @id("auditors-look") permit (principal in Role::"auditor", action == Action::"sources:read", resource);""",
    )
    lost = [(one.users, one.action, one.source, one.policies) for one in simulation.lost]
    assert lost == [(["sam"], "sources:sync", "company", ["no-syncs"])]
    gained = {(tuple(one.users), one.action, one.source) for one in simulation.gained}
    assert gained == {(("audra",), "sources:read", ""), (("audra",), "sources:read", "company")}
