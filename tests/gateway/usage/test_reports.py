"""Who used how much, for operators; their own, for everybody; and nobody's, when they are erased."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import Session, select

import gateway.identity.forgetting
from gateway.app import create_app
from gateway.subject_access.service import export_copy
from gateway.usage.report import ERASED, NO_GROUP
from gateway.usage.schemas import Grouping
from gateway.usage.store import NOBODY, UsageCountRow, UsageReservationRow, UsageRow
from policies.principals import Role
from retrieval.sessions import writing
from tests.gateway.cli.commands import KESTREL_ANSWER, Commands
from tests.gateway.cli.conftest import commands as commands
from tests.gateway.cli.conftest import empty as empty
from tests.gateway.cli.conftest import made_home as made_home
from tests.gateway.cli.test_cli_eval import QUESTIONS
from tests.gateway.conftest import TRAVEL_ANSWER, World, client_of, error_of, question, recorded, until_ready
from tests.gateway.usage.conftest import limit, price

DAYS = date(2026, 11, 1), date(2026, 12, 31)
Limited = Callable[[str], World]
MODEL = "qwen2.5-coder-1.5b-instruct-q4_k_m"


@pytest.fixture
def used(world: World) -> World:
    """Totals of two people, two models and two days, one of these with a price."""
    add(world, "alice", "2026-11-30", "small", answered=2, prompt_tokens=100, compute_ms=1500, unpriced=2)
    add(world, "alice", "2026-12-01", "large", answered=1, abstained=1, prompt_tokens=300, cost_billionths=12 * 10**8)
    add(world, "bob", "2026-12-01", "small", answered=1, failed=1, refused=3, prompt_tokens=50, unpriced=2)
    add(world, "olga", "2026-12-01", "small", answered=1, unpriced=1)
    return world


def add(world: World, user: str, day: str, model: str, **counts: int) -> None:
    token = world.services.recorder.token(user)
    with writing(world.services.database) as session:
        session.add(UsageRow(day=day, token=token, model=model, **counts))
        session.commit()


@pytest.fixture
async def reading(used: World) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(create_app(used.services)) as client:
        await until_ready(client)
        yield client


async def report(client: httpx.AsyncClient, world: World, **asked: str) -> Any:
    params = {"from": "2026-11-01", "to": "2026-12-31", **asked}
    response = await client.get("/api/v1/usage", params=params, headers=world.headers("olga"))
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize(
    ("by", "tokens"),
    [
        ("user", {"alice": 400, "bob": 50, "olga": 0}),
        ("group", {"everyone": 450, "finance": 400, NO_GROUP: 0}),
        ("model", {"large": 300, "small": 150}),
        ("day", {"2026-11-30": 100, "2026-12-01": 350}),
    ],
)
async def test_a_report_has_a_line_for_each(
    reading: httpx.AsyncClient, used: World, by: str, tokens: dict[str, int]
) -> None:
    found = await report(reading, used, by=by)
    assert {line["name"]: line["prompt_tokens"] for line in found["lines"]} == tokens
    assert found["total"]["prompt_tokens"] == 450, "of each person once"
    assert (found["total"]["questions"], found["total"]["refused"]) == (7, 3)
    assert (found["grouping"], found["currency"]) == (by, "EUR")
    [told] = recorded(used, "usage:reported")
    assert told == {
        "by": "olga",
        "grouping": by,
        "first_day": "2026-11-01",
        "last_day": "2026-12-31",
        "lines": len(tokens),
    }


async def test_a_report_is_of_its_days(reading: httpx.AsyncClient, used: World) -> None:
    found = await report(reading, used, to="2026-11-30")
    assert [line["name"] for line in found["lines"]] == ["alice"]
    assert (await report(reading, used, **{"from": "2026-12-02"}))["lines"] == []


async def test_what_had_no_price_does_not_look_free(reading: httpx.AsyncClient, used: World) -> None:
    lines = {line["name"]: line for line in (await report(reading, used))["lines"]}
    assert (lines["bob"]["cost"], lines["bob"]["unpriced"]) == (None, 2)
    assert (lines["alice"]["cost"], lines["alice"]["unpriced"]) == ("1.2", 2)


@pytest.mark.parametrize("days", [("2026-12-02", "2026-12-01"), ("1900-01-01", "2026-12-01")])
async def test_days_that_are_no_span_are_refused(
    reading: httpx.AsyncClient, used: World, days: tuple[str, str]
) -> None:
    for path, user in (("/api/v1/usage", "olga"), ("/api/v1/me/usage", "bob")):
        params = dict(zip(("from", "to"), days, strict=True))
        response = await reading.get(path, params=params, headers=used.headers(user))
        assert (response.status_code, error_of(response)["code"]) == (400, "bad_request")


async def test_only_operators_see_what_others_used(reading: httpx.AsyncClient, used: World) -> None:
    for user, status in (("bob", 403), ("audra", 403), ("mona", 403), ("olga", 200)):
        assert (await reading.get("/api/v1/usage", headers=used.headers(user))).status_code == status
    assert (await reading.get("/api/v1/usage")).status_code == 401


async def test_everybody_sees_their_own_and_nobody_elses(reading: httpx.AsyncClient, used: World) -> None:
    asked = {"from": "2026-11-01", "to": "2026-12-31"}
    own = (await reading.get("/api/v1/me/usage", params=asked, headers=used.headers("bob"))).json()
    assert [line["name"] for line in own["days"]] == ["2026-12-01"]
    assert [line["name"] for line in own["models"]] == ["small"]
    assert own["total"]["prompt_tokens"] == 50
    assert own["limits"] == []


async def test_one_sees_how_ones_limits_stand(limited: Limited) -> None:
    world = limited(
        limit("mine", "requests", 5)
        + limit("ours", "requests", 50, "hour", 'group = "everyone"\ntogether = true')
        + limit("of-finance", "requests", 5, more='group = "finance"')
        + limit("of-small", "tokens", 5000, "month", 'model = "small"')
    )
    world.model.says(TRAVEL_ANSWER)
    async with client_of(create_app(world.services)) as client:
        await until_ready(client)
        for user in ("bob", "alice"):
            asked = question("What is the daily allowance for travel in Norway?")
            await client.post("/v1/chat/completions", json=asked, headers=world.headers(user))
        states = (await client.get("/api/v1/me/usage", headers=world.headers("bob"))).json()["limits"]
    told = {state["name"]: (state["used"], state["most"], state["shared"]) for state in states}
    assert told == {"mine": ("1", "5", False), "ours": ("2", "50", True), "of-small": ("0", "5000", False)}
    assert all(state["resets_at"].endswith("Z") for state in states)


# Erasure and copies


def test_what_somebody_used_is_nobodys_once_they_are_erased(used: World) -> None:
    token = used.services.recorder.token("bob")
    with writing(used.services.database) as session:
        session.add(UsageCountRow(limit="daily", token=token, period=0, used=5))
        session.add(UsageReservationRow(id="r", limit="daily", token=token, amount=1, expires=2**40))
        session.commit()
    done = used.services.erasures.erase_user("bob", "root")
    assert done.counts["usage_totals"] == 1
    assert whose(used) == {used.services.recorder.token(user) for user in ("alice", "olga")} | {NOBODY}
    found = used.services.usage_reports.report(Grouping.USER, *DAYS)
    assert {line.name: line.prompt_tokens for line in found.lines} == {"alice": 400, ERASED: 50, "olga": 0}
    assert found.total.prompt_tokens == 450, "totals stay"
    groups = used.services.usage_reports.report(Grouping.GROUP, *DAYS)
    assert {line.name: line.prompt_tokens for line in groups.lines}[ERASED] == 50


def test_a_second_erasure_adds_up(used: World) -> None:
    add(used, "bob", "2026-12-01", "large", answered=1)
    used.services.users.add({"otto": frozenset()}, frozenset({Role.OPERATOR}), by="test")
    for user in ("bob", "olga"):
        used.services.erasures.erase_user(user, "root")
    with Session(used.services.database) as session:
        rows = session.exec(select(UsageRow).where(UsageRow.token == NOBODY, UsageRow.model == "small"))
        assert [(row.day, row.answered, row.refused) for row in rows] == [("2026-12-01", 2, 3)]


def test_an_erasure_that_forgets_usage_is_noticed(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control."""
    monkeypatch.setattr(gateway.identity.forgetting, "forget_usage", lambda *_: 1)
    with pytest.raises(AssertionError):
        test_what_somebody_used_is_nobodys_once_they_are_erased(used)


def test_what_ends_after_an_erasure_is_nobodys_too(used: World) -> None:
    used.services.usage.flush()
    used.services.erasures.erase_user("bob", "root")
    used.services.usage._book.add("bob", "2026-12-02", "small", {"answered": 1})
    used.services.usage.flush()
    assert len(whose(used) - {NOBODY}) == 2


def whose(world: World) -> set[str]:
    with Session(world.services.database) as session:
        tables = (UsageRow, UsageCountRow, UsageReservationRow)
        return {row.token for table in tables for row in session.exec(select(table))}  # type: ignore[attr-defined, call-overload]


def test_a_copy_of_what_is_held_has_it(used: World) -> None:
    files = export_copy(used.services, "alice", by="olga")
    rows = json.loads(files["usage.json"])
    assert [(row["day"], row["model"], row["prompt_tokens"]) for row in rows] == [
        ("2026-11-30", "small", 100),
        ("2026-12-01", "large", 300),
    ]
    assert "token" not in rows[0]


# The command line


def with_settings(commands: Commands, settings: str) -> None:
    (commands.home / "muniment.toml").write_text(settings)


def test_the_report_is_a_table_json_and_csv(commands: Commands) -> None:
    assert "Nothing was used" in commands("usage", "report").stderr
    commands.succeed("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    table = commands.succeed("usage", "report")
    assert "alice" in table
    assert "no price" in table
    found = commands.json("usage", "report", "--by", "model")
    [line] = found["lines"]
    assert (line["name"], line["questions"], line["checks"], line["cost"]) == (MODEL, 1, 2, None)
    assert line["completion_tokens"] == len(KESTREL_ANSWER.split())
    rows = list(csv.DictReader(io.StringIO(commands.succeed("usage", "report", "--csv"))))
    assert [(row["user"], row["questions"], row["cost"], row["currency"]) for row in rows] == [
        ("alice", "1", "", "EUR")
    ]
    assert "do not add up" in commands("usage", "report", "--by", "group").stderr
    assert len(commands.recorded("usage:reported")) == 5
    assert commands.fail("usage", "report", "--from", "yesterday", exit_code=2)
    assert commands.fail("usage", "report", "--from", "2026-12-02", "--to", "2026-12-01", exit_code=2)


def test_money_is_told_in_full(commands: Commands) -> None:
    with_settings(commands, '[usage]\ncurrency = "NOK"\n' + price(MODEL, prompt=10))
    commands.succeed("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    [line] = commands.json("usage", "report")["lines"]
    assert line["cost"] == f"{line['prompt_tokens'] / 100_000:.5f}".rstrip("0")
    assert "NOK" in commands.succeed("usage", "report")


def test_no_cell_is_a_formula(commands: Commands) -> None:
    group = '=cmd|" /C calc"!A0'
    commands.succeed("users", "add", "carol", "--group", group, "--group", "everyone")
    commands.succeed("ask", "What is the daily allowance for travel in Norway?", "--as", "carol")
    text = commands.succeed("usage", "report", "--by", "group", "--csv")
    names = [row["group"] for row in csv.DictReader(io.StringIO(text))]
    assert f"'{group}" in names
    assert not [name for name in names if name.startswith("=")]


def test_limits_hold_at_the_command_line_too(commands: Commands) -> None:
    with_settings(commands, limit("one", "requests", 1))
    commands.succeed("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    assert "begins anew" in commands.fail("ask", "What is the Kestrel budget?", "--as", "alice", exit_code=8)
    [told] = commands.recorded("usage:refused")
    assert told["principal"] == "alice"


def test_settings_that_make_no_sense_are_said(commands: Commands) -> None:
    with_settings(commands, limit("budget", "cost", 1))
    assert "there is no price" in commands.fail("usage", "report", exit_code=10)


def test_counting_goes_on_where_it_stopped(commands: Commands) -> None:
    for _ in range(3):
        commands.succeed("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    assert commands.json("usage", "report")["total"]["questions"] == 3


def test_measuring_counts_for_nobody(commands: Commands, tmp_path: Path) -> None:
    with_settings(commands, limit("none", "requests", 0))
    (tmp_path / "questions.jsonl").write_text(json.dumps(QUESTIONS[0]))
    found = commands.json("eval", str(tmp_path / "questions.jsonl"), "--as-readers-from", str(commands.access))
    assert found["answers"][0]["failed"] == 0
    assert commands.json("usage", "report")["lines"] == []
