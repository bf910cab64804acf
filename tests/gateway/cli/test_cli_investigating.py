"""What investigators ask at the command line, the reason that they give, and lists for spreadsheets."""

import csv
import io

import pytest

from gateway.audit.csv_text import csv_text, harmless
from tests.gateway.cli.commands import Commands

REASON = "Somebody complained that a budget leaked."


def test_who_was_shown_a_document_and_what_somebody_was_shown(commands: Commands) -> None:
    commands.succeed("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    commands.succeed("search", "holidays", "--as", "bob")
    asked = commands.json("audit", "shown", "--document", "finance/budget.md")
    (exchange,) = asked["exchanges"]
    assert (exchange["principal"], exchange["passages"][0]["how"]) == ("alice", "cited")
    table = commands.succeed("audit", "shown", "--user", "bob")
    assert "handbook/holidays.md" in table
    assert "finance" not in table
    rows = list(csv.DictReader(io.StringIO(commands.succeed("audit", "shown", "--user", "alice", "--csv"))))
    assert ("finance/budget.md", "cited", "label-allows-group") in {
        (row["document"], row["how"], row["rules"]) for row in rows
    }
    told = commands.succeed("audit", "timeline", "--request", exchange["request"])
    assert "alice asked a question over cli" in told
    assert "finance/budget.md" in told
    assert commands.json("audit", "stale", "--document", "finance/budget.md")["exchanges"] == []
    read = commands.recorded("trail:read")
    assert [(one["operation"], one["user"]) for one in read[:2]] == [("shown", ""), ("shown", "bob")]


def test_a_reason_is_kept_and_named_by_what_is_read(commands: Commands) -> None:
    commands.succeed("audit", "list", "--reason", REASON)
    commands.succeed("audit", "list")
    with_reason, without = commands.recorded("trail:read")[:2]
    (opened,) = commands.recorded("investigation:opened")
    assert (with_reason["investigation"], without["investigation"]) == (opened["investigation"], "")
    listed = commands.json("audit", "investigation", "list")["investigations"]
    assert [(one["id"], one["reason"], one["channel"], one["open"]) for one in listed] == [
        (opened["investigation"], REASON, "cli", False)
    ]


def test_a_reason_is_demanded_where_the_settings_say_so(commands: Commands) -> None:
    (commands.home / "muniment.toml").write_text("[audit]\nreason_at_command_line = true\n")
    for arguments in (
        ("list",),
        ("show", "1"),
        ("export",),
        ("shown", "--user", "bob"),
        ("stale", "--document", "finance/budget.md"),
        ("timeline", "--user", "bob"),
        ("investigation", "list"),
    ):
        assert "--reason" in commands.fail("audit", *arguments, exit_code=2)
        commands.succeed("audit", *arguments, "--reason", REASON)
    commands.fail("audit", "list", "--reason", "because", exit_code=2)


def test_an_investigation_is_an_auditors(commands: Commands) -> None:
    commands.succeed("users", "add", "audra", "--role", "auditor")
    begin = ("audit", "investigation", "open", "--reason", REASON)
    commands.fail(*begin, "--as", "alice", exit_code=4)
    commands.fail(*begin, "--as", "nobody", exit_code=5)
    begun = commands.json(*begin, "--as", "audra", "--hours", "2")
    assert (begun["by"], begun["channel"], begun["open"]) == ("audra", "http", True)
    commands.fail("audit", "investigation", "close", "i0", "--as", "audra", exit_code=5)
    closed = commands.json("audit", "investigation", "close", begun["id"], "--as", "audra")
    assert not closed["open"]
    (event,) = commands.recorded("investigation:closed")
    assert event["os_user"]
    commands.succeed("users", "disable", "audra")
    commands.fail(*begin, "--as", "audra", exit_code=6)


def test_verifying_is_recorded_unless_there_is_something_to_be_kept_as_it_is(commands: Commands) -> None:
    commands.succeed("audit", "verify", "--reason", REASON)
    read = commands.recorded("trail:read")[0]
    assert (read["operation"], bool(read["investigation"])) == ("verify", True)


@pytest.mark.parametrize(
    "arguments",
    [
        ("shown",),
        ("timeline",),
        ("stale",),
        ("list", "--kind", "Ada asked"),
        ("list", "--outcome", "well"),
        ("list", "--type", "Person"),
    ],
)
def test_what_cannot_be_asked_is_refused(commands: Commands, arguments: tuple[str, ...]) -> None:
    assert commands("audit", *arguments).exit_code == 2


def test_a_document_that_never_was_is_told(commands: Commands) -> None:
    commands.fail("audit", "shown", "--document", "finance/none.md", exit_code=5)


FORMULAS = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", " =1", "\n=1", "＝1", "＋1", "|cmd", "%x", "\u00a0=1"]


@pytest.mark.parametrize("formula", FORMULAS)
def test_no_value_is_a_formula(formula: str) -> None:
    text = csv_text(("a", "b"), [(formula, 'x","=1')])
    head, row = csv.reader(io.StringIO(text))
    assert head == ["a", "b"]
    assert row[0].startswith("'")
    assert row[1] == 'x","=1', "quotes are doubled, so it stays in its cell"


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x00", "\x85", "\u2028", "\u2029", "\x1b"])
def test_no_value_breaks_a_line(sign: str) -> None:
    text = csv_text(("a",), [(f"x{sign}=1",)])
    assert text.splitlines() == ['"a"', '"x =1"']


def test_what_is_harmless_stays() -> None:
    assert [harmless(value) for value in ("", "alice", "2026-12-01", "a=b", "d-1")] == [
        "",
        "alice",
        "2026-12-01",
        "a=b",
        "d-1",
    ]


def test_one_auditor_asks_and_another_under_another_account_approves(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    for auditor in ("audra", "aaron"):
        commands.succeed("users", "add", auditor, "--role", "auditor")
    answer = commands.json("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    within = commands.json("audit", "investigation", "open", "--as", "audra", "--reason", REASON)["id"]
    request = answer["receipt"]["receipt"]["request"]
    mine = ("--as", "audra", "--investigation", within)
    asked = commands.json("audit", "reveal", "ask", request, *mine, "--reason", REASON)["id"]
    commands.fail("audit", "reveal", "open", asked, *mine, exit_code=6)
    assert "same account" in commands.fail("audit", "reveal", "approve", asked, "--as", "aaron", exit_code=4)
    monkeypatch.setattr("gateway.cli.investigating.operating_system_user", lambda: "aaron")
    commands.fail("audit", "reveal", "approve", asked, "--as", "alice", exit_code=4)
    assert "approved" in commands.succeed("audit", "reveal", "approve", asked, "--as", "aaron")
    told = commands.succeed("audit", "reveal", "open", asked, *mine)
    assert "What is the Kestrel budget for 2027?" in told
    assert answer["answer"] in told
    assert "altered" not in told
    assert "approved" in commands.succeed("audit", "reveal", "list")
    commands.fail("audit", "reveal", "refuse", asked, "--as", "aaron", exit_code=6)
    (opened,) = commands.recorded("reveal:opened")
    assert (opened["by"], opened["user"], opened["os_user"]) == ("audra", "alice", "aaron")
