import json
from dataclasses import replace

import pytest

from policies.labels import Classification, Label

FULL = Label(
    allow_groups=frozenset({"staff", "board"}),
    allow_users=frozenset({"ada"}),
    deny_groups=frozenset({"interns"}),
    deny_users=frozenset({"bob"}),
    classification=Classification.CONFIDENTIAL,
    source="pages",
    within=Label.for_groups("staff"),
)
ODD = ["", " ", "a\nb", 'quo"te', "\x00", "Z\u0301", "\u202eabc", "組", "\ud800", '{"__entity":1}']


def test_a_private_label_names_nobody() -> None:
    assert Label.private() == Label()
    assert Label.private().allow_groups | Label.private().allow_users == frozenset()


def test_the_order_of_names_does_not_matter() -> None:
    names = [f"group-{number}" for number in range(50)]
    assert Label.for_groups(*names).canonical() == Label.for_groups(*reversed(names)).canonical()


@pytest.mark.parametrize("label", [Label(), FULL, Label.for_groups(*ODD)], ids=["private", "full", "odd"])
def test_a_label_comes_back_from_its_canonical_form(label: Label) -> None:
    assert Label.from_canonical(label.canonical()) == label
    assert label.canonical().isascii()


def test_labels_that_differ_have_different_digests() -> None:
    moved = [
        replace(Label(), **{side: frozenset({"ada"})})
        for side in ("allow_groups", "allow_users", "deny_groups", "deny_users")
    ]
    classified = [Label(classification=classification) for classification in Classification]
    odd = [Label.for_groups(name) for name in ODD]
    parts = [Label(source="a"), Label(source="b"), Label(within=Label()), Label(within=Label(source="a"))]
    different = [FULL, *moved, *classified, *odd, *parts]
    assert len({label.digest for label in different}) == len(different)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        json.dumps(json.loads(FULL.canonical()) | {"classification": "secretish"}),
        json.dumps(json.loads(FULL.canonical()) | {"allow_groups": "staff"}),
        json.dumps(json.loads(FULL.canonical()) | {"deny_users": [1]}),
        json.dumps(json.loads(FULL.canonical()) | {"allow_users": None}),
        json.dumps(json.loads(FULL.canonical()) | {"source": None}),
        json.dumps(json.loads(FULL.canonical()) | {"within": "staff"}),
        json.dumps(json.loads(FULL.canonical()) | {"within": {}}),
    ],
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kinds
        Label.from_canonical(text)
