"""Sensitive documents that many may read come first, with everything their place comes from."""

import random
from dataclasses import replace

import pytest
from sqlalchemy import insert

from connectors.contract import Part
from gateway.errors import NotFoundError
from gateway.policy.oversharing import Oversharing, rank_oversharing
from gateway.policy.reports import list_oversharing
from policies.bundles import Bundle
from policies.labels import Classification, Label
from policies.personal_data import EntityType, Span
from policies.principals import Role
from retrieval.labels import intern_label
from retrieval.sessions import writing
from retrieval.spans import write_spans
from retrieval.tables import DocumentRow, PassageRow, SourceRow
from tests.fakes.sources import ListConnector, page
from tests.gateway.conftest import World, recorded

CARD = "4111 1111 1111 1111"


@pytest.fixture
def shared(world: World) -> World:
    """Pages that differ in who reads them, in classification and in what stands in them."""
    with writing(world.services.database) as session:
        session.add(SourceRow(name="extra", type="list", settings="{}"))
        session.commit()
    everyone, finance = Label.for_groups("everyone"), Label.for_groups("finance")
    secret = Label(frozenset({"everyone"}), classification=Classification.RESTRICTED)
    world.services.ingestion.sync(
        "extra",
        ListConnector(
            page("cards", f"# Cards\n\nThe card of the office is {CARD}.", everyone),
            page("cards-in-finance", f"# Cards of finance\n\nThe card of the office is {CARD}.", finance),
            page("many-cards", "# Many\n\n" + f"A card is {CARD}. " * 3, everyone),
            page("plain", "# Plain\n\nNothing of note stands here.", everyone),
            page("secret", "# Secret\n\nNothing of note stands here either.", secret),
            page("nobodys", f"# Nobody's\n\nThe card is {CARD}.", Label.private()),
        ),
    )
    return world


def ranked(world: World, limit: int = 100, source: str | None = "extra") -> Oversharing:
    services = world.services
    users, policies = services.users.listed(), services.authorizer.latest()
    return rank_oversharing(
        services.database, users, policies, services.networks.names, limit, None if source is None else {source}
    )


def test_what_is_sensitive_and_widely_read_comes_first(shared: World) -> None:
    listed = ranked(shared).listed
    assert [one.path for one in listed][:3] == ["secret.md", "many-cards.md", "cards.md"]
    assert listed[-1].path == "nobodys.md"
    by_path = {one.path: one for one in listed}
    assert by_path["cards.md"].score > by_path["cards-in-finance.md"].score > by_path["nobodys.md"].score == 0
    assert by_path["cards.md"].score > by_path["plain.md"].score


def test_the_factors_are_shown_and_add_up(shared: World) -> None:
    for one in ranked(shared).listed:
        assert one.sensitivity == pytest.approx(one.classification_weight + one.personal_data_weight, abs=0.002)
        assert one.score == pytest.approx(one.sensitivity * one.audience.readers / one.audience.active_users, abs=0.002)
    cards = next(one for one in ranked(shared).listed if one.path == "many-cards.md")
    assert cards.personal_data == {"CREDIT_CARD": 3}
    assert cards.audience.by_group == {"everyone": 2, "finance": 1}
    assert cards.reason == "A document that is internal with 3 sealed values, read by 2 of 5 active users"


def test_only_active_users_count_and_rules_are_asked(shared: World) -> None:
    shared.services.users.disable("bob", by="test")
    cards = next(one for one in ranked(shared).listed if one.path == "cards.md")
    assert (cards.audience.readers, cards.audience.active_users) == (1, 4)
    closing = """@id("closed") forbid (principal, action == Action::"documents:read", resource)
    unless { context.network == "local" && context.purpose == "search" };"""
    shared.services.bundles.load(Bundle.of({"a.cedar": closing}), by="test")
    assert ranked(shared).listed[0].audience.readers == 1, "who may read it from somewhere may read it"
    shared.services.bundles.load(Bundle.of({"a.cedar": closing.partition("unless")[0] + ";"}), by="test")
    assert all(one.score == 0 for one in ranked(shared).listed)


def test_a_report_is_of_a_source_within_a_limit_and_in_the_trail(shared: World) -> None:
    found = list_oversharing(shared.services, 2, "extra", "olga")
    assert (found.documents, len(found.listed)) == (6, 2)
    assert ranked(shared, source=None).documents == 9
    (event,) = recorded(shared, "oversharing:listed")
    assert (event["by"], event["source"]) == ("olga", "extra")
    assert event["documents"] == [one.document for one in found.listed]
    with pytest.raises(NotFoundError):
        list_oversharing(shared.services, 2, "nowhere", "olga")


def test_a_part_counts_with_its_own_label(shared: World) -> None:
    """Cards that few may read do not make the document around them look overshared."""
    text = f"# Letter\n\nSent by post.\n\n## Salaries\n\nA card is {CARD}."
    secret = Label(frozenset({"finance"}), classification=Classification.RESTRICTED)
    upsert = replace(page("letter", text, Label.for_groups("everyone")), parts=(Part("salaries", secret),))
    shared.services.ingestion.sync("extra", ListConnector(upsert))
    found = ranked(shared)
    whole, part = sorted((one for one in found.listed if one.path == "letter.md"), key=lambda one: one.part)
    assert (whole.part, whole.personal_data, whole.audience.readers, whole.classification) == ([], {}, 2, "internal")
    assert (part.part, part.personal_data, part.audience.readers) == (["salaries"], {"CREDIT_CARD": 1}, 1)
    assert part.classification == "restricted"
    assert part.reason.startswith("A part that is restricted with 1 sealed")
    assert found.parts == 1


def test_a_deleted_document_is_not_listed(shared: World) -> None:
    shared.services.ingestion.sync(
        "extra", ListConnector(page("plain", "# Plain\n\nStill here.", Label.for_groups("everyone")))
    )
    before = ranked(shared).documents
    with writing(shared.services.database) as session:
        row = session.get_one(DocumentRow, ranked(shared).listed[0].document)
        row.deleted = True
        session.add(row)
        session.commit()
    assert ranked(shared).documents == before - 1


@pytest.mark.parametrize("count", [4_000, pytest.param(100_000, marks=pytest.mark.deep)])
def test_many_documents_are_ranked(world: World, count: int) -> None:
    """The work is per label and per document; a hundred users more change little."""
    rng = random.Random(count)
    spans = write_spans([Span(0, 1, EntityType.PERSON, 1.0, "x"), Span(2, 3, EntityType.CREDIT_CARD, 1.0, "x")])
    world.services.users.add(
        {f"user-{n}": frozenset({f"g{n % 40}"}) for n in range(150)}, frozenset({Role.EMPLOYEE}), by="test"
    )
    with writing(world.services.database) as session:
        session.add(SourceRow(name="large", type="list", settings="{}"))
        labels = [intern_label(session, Label.for_groups(f"g{n % 40}", f"h{n}")) for n in range(200)]
        rows = [
            {
                "id": f"d{n}",
                "source": "large",
                "external_id": str(n),
                "path": str(n),
                "title": "",
                "label_id": rng.choice(labels),
                "epoch": 1,
            }
            for n in range(count)
        ]
        session.execute(insert(DocumentRow), rows)
        session.execute(
            insert(PassageRow),
            [
                {
                    "document_id": f"d{n}",
                    "ordinal": 0,
                    "label_id": rows[n]["label_id"],
                    "heading": "",
                    "text": "",
                    "spans": spans if n % 3 else "[]",
                    "start": 0,
                    "end": 0,
                    "vector": b"",
                }
                for n in range(count)
            ],
        )
        session.commit()
    found = ranked(world, 20, "large")
    assert (found.documents, len(found.listed), found.labels) == (count, 20, 200)
    scores = [one.score for one in found.listed]
    assert scores == sorted(scores, reverse=True)
    with writing(world.services.database) as session:
        assert session.get(DocumentRow, found.listed[0].document) is not None
