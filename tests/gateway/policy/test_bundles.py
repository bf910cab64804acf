"""A site's own rules are in force as a whole and everywhere, or not at all; what goes wrong opens nothing."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import gateway.policy.bundles
import gateway.policy.current
from gateway.errors import NotFoundError
from gateway.policy.current import CurrentPolicies
from gateway.policy.store import PolicyBundleRow, read_rows
from gateway.services import Services
from policies.actions import Action
from policies.audit.events import PolicyChanged, PolicyRefused
from policies.authorizer import Authorizer
from policies.bundles import Bundle, read_bundle
from policies.context import Purpose, RequestContext
from policies.errors import PolicyInvalidError, TrailUnavailableError
from policies.labels import Classification, Label
from policies.principals import ANONYMOUS, Principal, Role
from retrieval.changes import Changes
from retrieval.labels import corpus_state
from retrieval.sessions import writing
from tests.gateway.conftest import KESTREL_ANSWER, World, eventually, question, recorded

ADA = Principal("ada", frozenset({"staff"}), frozenset(Role))
STAFF = Label.for_groups("staff")
CLOSED = '@id("closed") @reason("Closed today.") forbid (principal, action == Action::"documents:read", resource);'
OPEN = '@id("open") permit (principal, action == Action::"documents:read", resource);'
BROKEN = '@id("broken") forbid (principal in Role::"boss", action, resource);'


def bundle(text: str) -> Bundle:
    return Bundle.of({"rules.cedar": text})


def reads(policies: CurrentPolicies | Authorizer, label: Label = STAFF) -> bool:
    return policies.decide_labels(ADA, {1: label})[1].allowed


def second_process(world: World, reported: list[PolicyRefused] | None = None) -> CurrentPolicies:
    """What another process has: its own memory, and the same database."""
    return CurrentPolicies(world.services.database, (reported if reported is not None else []).append)


def store(world: World, text: str, **changes: str) -> None:
    """Put a bundle into the database past all checks, as an upgrade or somebody with access to the file might."""
    policies, schema = gateway.policy.bundles.shipped()
    row = {"revision": "0" * 64, "shipped": policies, "schema_text": schema, "by": "nobody"} | changes
    with writing(world.services.database) as session:
        session.add(PolicyBundleRow(files=bundle(text).stored(), **row))
        session.commit()


def test_rules_are_in_force_at_once_and_in_every_process(world: World) -> None:
    services, other = world.services, second_process(world)
    assert reads(services.authorizer)
    assert reads(other)
    before = services.authorizer.revision
    loaded = services.bundles.load(bundle(CLOSED), by="olga")
    assert not reads(services.authorizer)
    assert not reads(other)
    assert not reads(second_process(world)), "a process that starts now must know, too"
    assert services.authorizer.revision == other.revision == loaded.revision != before == loaded.previous
    assert recorded(world, PolicyChanged.kind) == [
        {
            "by": "olga",
            "policy_revision": loaded.revision,
            "previous": before,
            "added": ["closed"],
            "removed": [],
            "changed": [],
        }
    ]


@pytest.mark.parametrize("adopted", [False, True])
def test_somebody_whom_the_trail_does_not_know_yet_can_change_them(world: World, *, adopted: bool) -> None:
    """The first thing they do: what stands for them is written before the write lock is taken."""
    if adopted:
        store(world, CLOSED)
        world.services.bundles.adopt(by="newcomer")
    else:
        world.services.bundles.load(bundle(CLOSED), by="newcomer")
    assert recorded(world, PolicyChanged.kind)[0]["by"] == "newcomer"


def test_loading_begins_an_epoch(world: World) -> None:
    def epoch() -> int:
        with writing(world.services.database) as session:
            return corpus_state(session).epoch

    before = epoch()
    world.services.bundles.load(bundle(CLOSED), by="olga")
    assert epoch() == before + 1
    world.services.bundles.load(bundle(CLOSED), by="olga")
    assert epoch() == before + 1, "loading what is in force changes nothing"
    assert len(recorded(world, PolicyChanged.kind)) == 1


def test_what_changed_is_told_by_rules(world: World) -> None:
    bundles = world.services.bundles
    other = CLOSED.replace("closed", "other")
    bundles.load(Bundle.of({"a.cedar": CLOSED, "b.cedar": other}), by="olga")
    relaid = CLOSED.replace(") forbid (", ")\n  forbid ( ").replace("Closed today.", "Closed.")
    added = CLOSED.replace("closed", "new")
    changes = bundles.load(Bundle.of({"a.cedar": relaid, "c.cedar": added}), by="olga").changes
    assert (changes.added, changes.removed, changes.changed) == (("new",), ("other",), ("closed",))
    laid_out_otherwise = relaid.replace("\n", "  ")
    changes = bundles.load(Bundle.of({"a.cedar": laid_out_otherwise, "c.cedar": added}), by="olga").changes
    assert (changes.added, changes.removed, changes.changed) == ((), (), ())


def test_a_check_changes_nothing(world: World) -> None:
    proposed = world.services.bundles.proposed(bundle(CLOSED))
    assert proposed.changes.added == ("closed",)
    assert reads(world.services.authorizer)
    assert world.services.bundles.history() == []
    assert recorded(world, PolicyChanged.kind) == []


REFUSED = {
    "no policies": "what is this",
    "a template": '@id("x") permit (principal == ?principal, action, resource);',
    "no id": "permit (principal, action, resource);",
    "an id twice": CLOSED + CLOSED,
    "a shipped id": '@id("label-denies") permit (principal, action == Action::"documents:read", resource);',
    "another annotation": '@id("x") @because("y") permit (principal, action, resource);',
    "an unknown attribute": '@id("x") permit (principal, action, resource) when { principal.salary == "3" };',
    "an unknown role": BROKEN,
    "an unknown network": CLOSED.replace(";", ' when { context.network == "nowhere" };'),
    "arithmetic": '@id("x") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };',
    "has": '@id("x") forbid (principal, action, resource) when { principal has active };',
    "a function that can fail": '@id("x") forbid (principal, action, resource) when { ip("10.0.0.1").isIpv4() };',
    "nesting": '@id("x") forbid (principal, action, resource) when { ' + "(" * 9000 + "true" + ")" * 9000 + " };",
    "length": "//" + "x" * 2_000_000,
    "a chain without end": '@id("x") forbid (principal, action, resource) when { ' + "true && " * 5000 + "true };",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_bundle_changes_nothing_and_is_recorded(world: World, text: str) -> None:
    services = world.services
    services.bundles.load(bundle(CLOSED), by="olga")
    before = services.authorizer.revision
    with pytest.raises(PolicyInvalidError) as refused:
        services.bundles.load(Bundle.of({"open.cedar": OPEN, "rules.cedar": text}), by="olga")
    assert refused.value.problems
    assert services.authorizer.revision == before
    assert not reads(services.authorizer)
    assert [(event["by"], event["policy_revision"]) for event in recorded(world, PolicyRefused.kind)] == [
        ("olga", before)
    ]
    assert len(recorded(world, PolicyChanged.kind)) == 1


def test_a_file_that_cannot_be_read_as_policies_is_named(world: World) -> None:
    with pytest.raises(PolicyInvalidError, match=r"two\.cedar: "):
        world.services.bundles.check(Bundle.of({"one.cedar": CLOSED, "two.cedar": "permit ("}))


def test_rules_that_fail_on_what_is_stored_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a rule is refused for its words already; this is the check behind that one."""
    monkeypatch.setattr("policies.rules.dangers", lambda _: [])
    overflowing = '@id("x") forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };'
    with pytest.raises(PolicyInvalidError, match="fail on what is stored"):
        world.services.bundles.load(bundle(overflowing), by="olga")
    assert reads(world.services.authorizer)


def test_no_trail_no_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    monkeypatch.setattr(world.services.recorder, "record_now", fail)
    with pytest.raises(TrailUnavailableError):
        world.services.bundles.load(bundle(CLOSED), by="olga")
    assert reads(world.services.authorizer)
    assert world.services.bundles.history() == []


# A stored bundle that cannot be used: after an upgrade, or after damage.


def test_a_stored_bundle_that_cannot_be_used_keeps_the_last_good_one(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    reported: list[PolicyRefused] = []
    running = second_process(world, reported)
    world.services.bundles.load(bundle(CLOSED), by="olga")
    assert not reads(running)
    store(world, OPEN + BROKEN)
    assert not reads(running)
    assert not reads(running)
    assert [(event.by, event.policy_revision) for event in reported] == [("muniment", running.revision)]
    assert [record.message.split()[0] for record in caplog.records] == ["policy_refused"]
    assert "boss" in running.health.problem
    assert running.health.refused == 1
    world.services.bundles.load(bundle(CLOSED + OPEN), by="olga")
    assert not running.health.problem


def test_after_a_restart_such_a_bundle_decides_as_it_was_loaded_or_not_at_all(world: World) -> None:
    schema = gateway.policy.bundles.shipped()[1]
    world.services.bundles.load(bundle(OPEN), by="olga")
    of_its_version = schema.replace('"auditor", "employee"', '"auditor", "boss", "employee"')
    closing = CLOSED + BROKEN
    store(world, closing, schema_text=of_its_version)
    restarted = second_process(world)
    assert not reads(restarted), "what the newest bundle forbids stays forbidden"
    assert restarted.decide(ADA, Action.CHAT_ASK).allowed, "the rest of it decides as before"
    store(world, closing, revision="1" * 64)
    restarted = second_process(world)
    allowed = {action for action in Action if restarted.decide(ADA, action).allowed}
    assert allowed == {Action.HEALTH_READ}
    assert not reads(restarted)
    assert restarted.decide(ANONYMOUS, Action.HEALTH_READ).allowed


class LenientPolicies(CurrentPolicies):
    """The negative control: falls back to the shipped rules where a site's own cannot be used."""

    def _usable(self, head: object) -> Authorizer:
        try:
            return super()._usable(head)  # type: ignore[arg-type]
        finally:
            if self._problem:
                self._authorizer = Authorizer.load()

    def latest(self) -> Authorizer:
        made = super().latest()
        return Authorizer.load() if self._problem else made


def test_falling_back_to_the_shipped_rules_would_open(world: World) -> None:
    store(world, CLOSED + BROKEN)
    assert reads(LenientPolicies(world.services.database, [].append))
    assert not reads(second_process(world))


@pytest.mark.parametrize("files", ["", "{", "[]", '{"a": 3}', "null", "[" * 100_000])
def test_a_damaged_row_opens_nothing(world: World, files: str) -> None:
    running = second_process(world)
    world.services.bundles.load(bundle(CLOSED), by="olga")
    assert not reads(running)
    with writing(world.services.database) as session:
        session.add(PolicyBundleRow(revision="2" * 64, files=files, shipped="", schema_text="", by="nobody"))
        session.commit()
    assert not reads(running)
    restarted = second_process(world)
    assert {action for action in Action if restarted.decide(ADA, action).allowed} == {Action.HEALTH_READ}


def test_a_database_that_cannot_be_read_denies(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    policies = second_process(world)
    assert reads(policies)

    def fail(_: object) -> None:
        message = "the disk is gone"
        raise OSError(message)

    with monkeypatch.context() as broken:
        broken.setattr(Changes, "marks", fail)
        assert not reads(policies)
        assert {action for action in Action if policies.decide(ADA, action).allowed} == {Action.HEALTH_READ}
    assert reads(policies)


def test_a_trail_that_takes_nothing_does_not_open_anything(world: World) -> None:
    def fail(_: object) -> None:
        message = "the disk is full"
        raise TrailUnavailableError(message)

    policies = CurrentPolicies(world.services.database, fail)
    world.services.bundles.load(bundle(CLOSED), by="olga")
    assert not reads(policies)
    store(world, OPEN + BROKEN)
    assert not reads(policies)


# One request, one revision.


def test_a_request_holds_on_to_the_policies_of_its_beginning(world: World) -> None:
    policies = world.services.authorizer
    with policies.pinned():
        before = policies.revision
        world.services.bundles.load(bundle(CLOSED), by="olga")
        assert (reads(policies), policies.revision) == (True, before)
        with second_process(world).pinned():
            assert (reads(policies), policies.revision) == (False, policies.latest().revision), "another's are not ours"
    assert not reads(policies)


def test_a_filter_is_made_by_one_revision_while_others_are_loaded(world: World) -> None:
    """Each filter must name the policies that made it, however they change meanwhile."""
    services = world.services
    services.bundles.load(bundle(CLOSED), by="olga")
    closed = services.authorizer.revision
    services.bundles.load(Bundle(), by="olga")
    alice, wrong, over = services.users.principal("alice"), list[object](), threading.Event()

    def search() -> None:
        while not over.is_set():
            access = services.retriever.access(alice, RequestContext())
            if bool(access.label_ids) is (access.policy_revision == closed):
                wrong.append(access)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        services.bundles.load(bundle(CLOSED) if turn % 2 else Bundle(), by="olga")
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []


# History.


def test_earlier_rules_come_back(world: World) -> None:
    bundles, policies = world.services.bundles, world.services.authorizer
    shipped_alone = policies.revision
    first = bundles.load(bundle(CLOSED), by="olga")
    bundles.load(bundle(OPEN), by="olga")
    assert reads(policies, Label.private())
    assert bundles.rollback("olga").revision == first.revision
    assert not reads(policies)
    assert bundles.rollback("olga", first.revision[:10]).same
    bundles.load(Bundle(), by="olga")
    assert policies.revision == shipped_alone
    listed = bundles.history()
    assert [one.current for one in listed] == [True, False, False, False]
    assert [one.by for one in listed] == ["olga"] * 4
    assert [event["policy_revision"] for event in recorded(world, PolicyChanged.kind)] == [
        one.revision for one in reversed(listed)
    ]


def test_the_first_bundle_is_taken_back_to_none(world: World) -> None:
    bundles, policies = world.services.bundles, world.services.authorizer
    before = policies.revision
    bundles.load(bundle(CLOSED), by="olga")
    assert bundles.rollback("olga").revision == before
    assert reads(policies)


@pytest.mark.parametrize("revision", [None, "feed"])
def test_where_there_is_nothing_earlier_nothing_changes(world: World, revision: str | None) -> None:
    with pytest.raises(NotFoundError, match="no earlier policies"):
        world.services.bundles.rollback("olga", revision)


def test_an_upgrade_of_the_shipped_rules_is_recorded_once(world: World) -> None:
    services = world.services
    services.bundles.load(bundle(CLOSED), by="olga")
    with writing(services.database) as session:
        row = read_rows(session)[0]
        row.shipped = "\n".join(row.shipped.split('@id("monitor-reads-metrics")')[:1])
        row.revision = "3" * 64
        session.add(row)
        session.commit()
    services.bundles.adopt(by="muniment")
    services.bundles.adopt(by="muniment")
    changed = recorded(world, PolicyChanged.kind)[1:]
    assert [(event["by"], event["previous"]) for event in changed] == [("muniment", "3" * 64)]
    assert "monitor-reads-metrics" in changed[0]["added"]
    assert not reads(services.authorizer)


# Reading a folder.


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    def make(**files: str | bytes) -> Path:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (tmp_path / name.replace("_", ".")).write_bytes(data)
        return tmp_path

    return make


def test_a_folder_is_read_in_the_order_of_its_names(folder: Callable[..., Path]) -> None:
    read = read_bundle(folder(b_cedar=CLOSED, a_cedar="// first", notes_txt="permit (", c_cedarschema="entity X;"))
    assert [name for name, _ in read.files] == ["a.cedar", "b.cedar"]
    assert read.text.startswith("// first\n")
    assert Bundle.from_stored(read.stored()) == read


def test_a_folder_that_cannot_be_read_is_said(folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(PolicyInvalidError, match="cannot be read"):
        read_bundle(tmp_path / "nowhere")
    with pytest.raises(PolicyInvalidError, match="not UTF-8"):
        read_bundle(folder(a_cedar=b"\xff\xfe"))


def test_site_rules_see_the_context(world: World) -> None:
    services: Services = world.services
    rule = CLOSED.replace(
        ";",
        ' when { resource.classification == Classification::"restricted" && context.purpose == "answer" };',
    )
    services.bundles.load(bundle(rule), by="olga")
    restricted = replace(STAFF, classification=Classification.RESTRICTED)
    decided = {
        purpose: services.authorizer.decide_labels(ADA, {1: restricted}, RequestContext(purpose))[1].allowed
        for purpose in (Purpose.ANSWER, Purpose.SEARCH)
    }
    assert decided == {Purpose.ANSWER: False, Purpose.SEARCH: True}


async def test_an_answer_is_made_under_one_revision(world: World, client: httpx.AsyncClient) -> None:
    """Rules are loaded while the model writes: the answer and its receipt are of the rules it began under."""
    world.model.says(KESTREL_ANSWER)
    world.model.holds()
    before = world.services.authorizer.revision
    asking = asyncio.create_task(
        client.post(
            "/v1/chat/completions", json=question("What is the Kestrel budget?"), headers=world.headers("alice")
        )
    )

    async def working() -> bool:
        await asyncio.sleep(0)
        return world.model.working > 0

    await eventually(working)
    loaded = await asyncio.to_thread(world.services.bundles.load, bundle(CLOSED), "olga")
    world.model.lets_go()
    answer = (await asking).json()["muniment"]
    assert answer["citations"]
    assert answer["receipt"]["receipt"]["policy_revision"] == before
    asked = recorded(world, "question:asked")[-1]["policy_revision"]
    found = recorded(world, "passages:retrieved")[-1]["policy_revision"]
    assert asked == found == before != loaded.revision
    body = {"query": "Kestrel"}
    assert (await client.post("/api/v1/search", json=body, headers=world.headers("alice"))).json()["passages"] == []
    metrics = (await client.get("/metrics", headers=world.headers("mona"))).text
    assert "muniment_policies_in_force 1.0" in metrics
    store(world, BROKEN)
    metrics = (await client.get("/metrics", headers=world.headers("mona"))).text
    assert "muniment_policies_in_force 0.0" in metrics
    assert "muniment_policies_refused_total 1.0" in metrics

    async def refusal_told() -> bool:
        await asyncio.sleep(0.01)
        return len(recorded(world, "policy:refused")) == 1

    await eventually(refusal_told)
