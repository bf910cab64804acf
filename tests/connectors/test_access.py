"""The access file decides who may read, so every doubt about it stops the run."""

import json
import time
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.access import AccessRules, load_access
from connectors.contract import Part
from connectors.errors import AccessUnreadableError
from policies.labels import Classification, Label

FORM: dict[str, Any] = {
    "groups": ["everyone", "finance"],
    "users": {"ada": ["everyone", "finance"]},
    "rules": [
        {"prefix": "", "groups": ["everyone"]},
        {"prefix": "finance/", "groups": ["finance"]},
        {"prefix": "finance/public", "groups": ["everyone"]},
        {
            "prefix": "finance/payroll.md",
            "users": ["ada"],
            "deny_groups": ["everyone"],
            "deny_users": ["ada"],
            "classification": "restricted",
        },
    ],
}


def rules(folder: Path, content: Any) -> AccessRules:
    path = folder / "access.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_access(path)


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("readme.md", Label.for_groups("everyone")),
        ("finance/q3.md", Label.for_groups("finance")),
        ("finance/public.md", Label.for_groups("everyone")),
        ("finance/public/a.md", Label.for_groups("everyone")),
        ("financed.md", Label.for_groups("everyone")),
        (
            "finance/payroll.md",
            Label(
                allow_users=frozenset({"ada"}),
                deny_groups=frozenset({"everyone"}),
                deny_users=frozenset({"ada"}),
                classification=Classification.RESTRICTED,
            ),
        ),
    ],
)
def test_the_longest_prefix_wins(tmp_path: Path, path: str, label: Label) -> None:
    assert rules(tmp_path, FORM).label(path) == label


def test_no_match_is_private(tmp_path: Path) -> None:
    access = rules(tmp_path, {"groups": ["a"], "rules": [{"prefix": "a/", "groups": ["a"]}]})
    assert access.label("b/x.md") == Label.private()
    assert access.label("A/x.md") == Label.private()


def test_groups_and_users_are_those_declared(tmp_path: Path) -> None:
    access = rules(tmp_path, FORM)
    assert access.groups == {"everyone", "finance"}
    assert access.users == {"ada": frozenset({"everyone", "finance"})}


def test_the_digest_changes_with_the_file(tmp_path: Path) -> None:
    assert rules(tmp_path, FORM).digest == rules(tmp_path, FORM).digest
    assert rules(tmp_path, FORM).digest != rules(tmp_path, {**FORM, "users": {}, "rules": FORM["rules"][:2]}).digest


def test_a_name_spelt_with_combining_marks_falls_under_its_rule(tmp_path: Path) -> None:
    """Otherwise a folder copied from a system that decomposes names would fall back to a wider rule."""
    secret = {"prefix": "Gehälter/", "groups": ["finance"]}
    access = rules(tmp_path, {"groups": ["everyone", "finance"], "rules": [FORM["rules"][0], secret]})
    for form in ("NFC", "NFD"):
        assert access.label(unicodedata.normalize(form, "Gehälter/2024.md")) == Label.for_groups("finance")


def test_a_rule_may_restrict_parts_of_its_documents(tmp_path: Path) -> None:
    parts = [{"heading": "Pay", "groups": ["finance"]}, {"heading": "Notes", "users": ["ada"], "optional": True}]
    access = rules(tmp_path, {**FORM, "rules": [{"prefix": "", "groups": ["everyone"], "parts": parts}]})
    assert access.parts("a.md") == (
        Part("Pay", Label.for_groups("finance")),
        Part("Notes", Label(allow_users=frozenset({"ada"})), optional=True),
    )
    assert rules(tmp_path, FORM).parts("a.md") == ()


def changed(**fields: Any) -> dict[str, Any]:
    return {**FORM, **fields}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "line 1"),
        ("{", "line 1"),
        ("[" * 100_000, "recursion"),
        ("[]", "object"),
        ("{}", "groups"),
        (changed(rules=None), "$.rules"),
        (changed(rules=[{"groups": ["everyone"]}]), "$.rules[0]"),
        (changed(rules=[{"prefix": "a/", "groups": "everyone"}]), "$.rules[0].groups"),
        (changed(rules=[{"prefix": "a/", "deny_group": ["everyone"]}]), "deny_group"),
        (changed(rules=[{"prefix": "a/", "classification": "secret"}]), "classification"),
        (changed(rules=[FORM["rules"][0], FORM["rules"][0]]), "two rules have the prefix ''"),
        (changed(rules=[{"prefix": "é/"}, {"prefix": "e\u0301/"}]), "two rules"),
        (changed(rules=[{"prefix": "a/", "groups": ["fnance"]}]), "'fnance'"),
        (changed(rules=[{"prefix": "a/", "deny_groups": ["fnance"]}]), "rule 1 (prefix 'a/')"),
        (changed(rules=[{"prefix": "a/", "deny_users": ["adda"]}]), "'adda'"),
        (changed(users={"ada": ["nowhere"]}), "'nowhere'"),
        (changed(rules=[{"prefix": "a/", "parts": [{"heading": "Pay", "groups": ["fnance"]}]}]), "part 'Pay'"),
        (changed(rules=[{"prefix": "a/", "parts": [{"heading": " ", "groups": ["finance"]}]}]), "without a heading"),
        (changed(rules=[{"prefix": "a/", "parts": [{"groups": ["finance"]}]}]), "heading"),
        (changed(rules=[{"prefix": "a/", "parts": [{"heading": "Pay", "group": ["finance"]}]}]), "group"),
        (changed(rules=[{"prefix": "/finance/"}]), "'/finance/'"),
        (changed(rules=[{"prefix": "./finance/"}]), "'./finance/'"),
        (changed(rules=[{"prefix": "a/../finance/"}]), "'a/../finance/'"),
        (changed(rules=[{"prefix": "finance\\"}]), "rule 1"),
        ('{"groups": [], "rules": [], "rules": []}', "'rules' stands twice"),
        ('{"groups": [], "users": {"a": [], "a": []}, "rules": []}', "'a' stands twice"),
    ],
)
def test_doubt_stops_the_run_and_names_the_place(tmp_path: Path, content: Any, place: str) -> None:
    with pytest.raises(AccessUnreadableError, match=r"access\.json") as caught:
        rules(tmp_path, content)
    assert place in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"\xff\xfe{}", b"\x00"])
def test_a_file_that_is_not_text_stops_the_run(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "access.json"
    path.write_bytes(content)
    with pytest.raises(AccessUnreadableError, match="malformed"):
        load_access(path)


@pytest.mark.parametrize("name", ["absent.json", "."])
def test_a_file_that_cannot_be_read_stops_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(AccessUnreadableError, match="cannot be read"):
        load_access(tmp_path / name)


def test_users_may_come_from_elsewhere(tmp_path: Path) -> None:
    access = rules(tmp_path, {"groups": [], "rules": [{"prefix": "a/", "users": ["u"]}]})
    assert access.label("a/b").allow_users == {"u"}


segments = st.text(alphabet="ab/é", max_size=8)


@settings(deadline=None)
@given(prefixes=st.sets(segments, max_size=12), path=segments)
def test_lookup_equals_trying_every_rule(prefixes: set[str], path: str, tmp_path_factory: Any) -> None:
    usable = {prefix for prefix in prefixes if not prefix.startswith("/") and "//" not in prefix}
    file = {"groups": sorted(usable), "rules": [{"prefix": prefix, "groups": [prefix]} for prefix in usable]}
    matching = [prefix for prefix in usable if path.startswith(prefix)]
    expected = Label.for_groups(max(matching, key=len)) if matching else Label.private()
    assert rules(tmp_path_factory.mktemp("access"), file).label(path) == expected


def test_many_rules_cost_no_more_per_path(tmp_path: Path) -> None:
    def seconds(count: int) -> float:
        named = [{"prefix": f"folder-{number:06}/", "groups": ["a"]} for number in range(count)]
        access = rules(tmp_path, {"groups": ["a"], "rules": named})
        started = time.perf_counter()
        for number in range(2_000):
            access.label(f"folder-{number % count:06}/page.md")
        return time.perf_counter() - started

    seconds(10)
    assert min(seconds(5_000) for _ in range(3)) < 5 * min(seconds(50) for _ in range(3))
