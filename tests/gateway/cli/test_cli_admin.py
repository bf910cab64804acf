"""Users, keys, policy, redaction and the trail at the command line."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from policies.keys import open_keys
from tests.gateway.cli.commands import Commands


def test_users_are_listed_with_their_groups(commands: Commands) -> None:
    commands.succeed("users", "add", "carl", "--group", "everyone", "--group", "press", "--role", "auditor")
    users = {user["id"]: user for user in commands.json("users", "list")}
    assert users["carl"] == {"id": "carl", "groups": ["everyone", "press"], "roles": ["auditor"], "active": True}
    assert users["alice"]["groups"] == ["everyone", "finance"]
    assert "everyone, press" in commands.succeed("users", "list")


def test_new_groups_count_at_once(commands: Commands) -> None:
    assert not [p for p in commands.json("search", "Kestrel", "--as", "bob")["passages"] if "finance" in p["path"]]
    commands.succeed("users", "add", "bob", "--group", "everyone", "--group", "finance")
    assert [p for p in commands.json("search", "Kestrel", "--as", "bob")["passages"] if "finance" in p["path"]]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["carl", "--from", "access.json"],
        ["--from", "access.json", "--group", "everyone"],
        ["carl; drop table"],
        ["x" * 200],
        ["carl", "--role", "king"],
    ],
)
def test_users_that_cannot_be_added_are_refused(commands: Commands, arguments: list[str]) -> None:
    commands.fail("users", "add", *arguments, exit_code=2)
    assert {user["id"] for user in commands.json("users", "list")} == {"alice", "bob"}


def test_an_access_file_without_users_or_in_disorder_adds_nobody(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"groups": ["everyone"], "rules": []}))
    commands.fail("users", "add", "--from", str(path), exit_code=2)
    path.write_text("{")
    commands.fail("users", "add", "--from", str(path), exit_code=12)
    commands.fail("users", "add", "--from", str(tmp_path / "gone.json"), exit_code=12)


def test_a_key_is_shown_once_and_kept_as_a_digest(commands: Commands) -> None:
    made = commands.json("keys", "create", "alice")
    assert made["user"] == "alice"
    assert made["key"].startswith(f"mun_{made['id']}_")
    listed = commands.json("keys", "list")[0]
    assert (listed["id"], listed["user"], listed["active"], listed["scopes"]) == (made["id"], "alice", True, [])
    assert listed["expires_at"] is None
    assert listed["last_used_at"] is None
    secret = made["key"].removeprefix(f"mun_{made['id']}_")
    assert len(secret) == 43, "the secret itself may hold an underscore"
    assert all(secret.encode() not in path.read_bytes() for path in commands.home.rglob("*") if path.is_file())


def test_a_key_alone_goes_to_standard_output(commands: Commands) -> None:
    result = commands("keys", "create", "alice")
    assert result.stdout.startswith("mun_")
    assert len(result.stdout.split()) == 1
    assert "muniment keys revoke" in result.stderr


def test_a_revoked_key_is_listed_as_such(commands: Commands) -> None:
    made = commands.json("keys", "create", "alice")
    commands.succeed("keys", "revoke", made["id"])
    assert commands.json("keys", "list")[0]["active"] is False
    assert commands.fail("keys", "revoke", "aaaaaaaaaaaaaaaa", exit_code=5)


def test_no_key_for_nobody_and_none_for_disabled_users(commands: Commands) -> None:
    commands.fail("keys", "create", "eve", exit_code=5)
    commands.succeed("users", "disable", "bob")
    commands.fail("keys", "create", "bob", exit_code=6)
    commands.fail("users", "disable", "eve", exit_code=5)


def test_a_decision_is_explained_by_its_rules(commands: Commands) -> None:
    arguments = ("--document", "finance/budget.md")
    assert commands.json("policy", "check", "--user", "alice", *arguments)["allowed"] is True
    denied = commands("policy", "check", "--user", "bob", *arguments, "--json")
    assert denied.exit_code == 1
    assert json.loads(denied.stdout)["allowed"] is False
    explained = commands.json("policy", "explain", "--user", "alice", *arguments)
    assert explained["policies"]
    assert explained["label"]["allow_groups"] == ["finance"]
    assert "PERSON" in explained["revealed"]
    assert "CREDIT_CARD" not in explained["revealed"]
    said = commands.succeed("policy", "explain", "--user", "bob", *arguments)
    assert "denied" in said


def test_a_decision_on_a_disabled_user_is_a_denial(commands: Commands) -> None:
    commands.succeed("users", "disable", "alice")
    explained = commands.json("policy", "explain", "--user", "alice", "--document", "finance/budget.md")
    assert (explained["allowed"], explained["active"], explained["revealed"]) == (False, False, [])


def test_documents_go_by_id_or_path(commands: Commands) -> None:
    by_path = commands.json("policy", "explain", "--user", "alice", "--document", "finance/budget.md")
    by_id = commands.json("policy", "explain", "--user", "alice", "--document", by_path["document"])
    assert by_id == by_path
    commands.fail("policy", "explain", "--user", "alice", "--document", "gone.md", exit_code=5)
    commands.fail("policy", "check", "--user", "eve", "--document", "finance/budget.md", exit_code=5)


def test_a_path_in_two_sources_asks_for_the_id(commands: Commands) -> None:
    path, access = f"path={commands.documents}", str(commands.access)
    commands.succeed("sources", "add", "twin", "--type", "folder", "--set", path, "--access", access)
    commands.succeed("sync", "twin")
    said = commands.fail("policy", "check", "--user", "alice", "--document", "finance/budget.md", exit_code=2)
    assert "in company" in said
    assert "in twin" in said


def test_personal_data_is_replaced_and_the_rest_stands(commands: Commands, tmp_path: Path) -> None:
    text = "Ada Brandt, ada@harbour.example:\n\tsee Ada Brandt.\n"
    expected = "⟦PERSON_1⟧, ⟦EMAIL_ADDRESS_1⟧:\n\tsee ⟦PERSON_1⟧.\n"
    assert commands.succeed("redact", stdin=text) == expected
    assert commands.succeed("redact", "-", stdin=text) == expected
    (tmp_path / "letter.txt").write_text(text)
    found = commands.json("redact", str(tmp_path / "letter.txt"))
    assert found["text"] == expected
    assert (found["found"][0]["type"], found["found"][0]["start"], found["found"][0]["end"]) == ("PERSON", 0, 10)


def test_what_cannot_be_read_is_not_redacted(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    commands.fail("redact", str(tmp_path / "binary"), exit_code=2)
    commands.fail("redact", str(tmp_path / "gone"), exit_code=2)
    commands.fail("redact", str(tmp_path), exit_code=2)


def test_the_trail_is_searched_by_what_it_holds(commands: Commands) -> None:
    commands.succeed("search", "Kestrel", "--as", "alice")
    commands.succeed("search", "Kestrel", "--as", "bob")
    entries = commands.json("audit", "list", "--user", "alice", "--kind", "search:asked")["entries"]
    assert [entry["event"]["principal"] for entry in entries] == ["alice"]
    request = entries[0]["event"]["request"]
    kinds = [entry["kind"] for entry in commands.json("audit", "show", request)["entries"]]
    assert kinds == ["search:asked", "passages:retrieved", "personal-data:revealed"]
    one = commands.json("audit", "show", str(entries[0]["entry"]))["entries"]
    assert one == entries
    assert commands.json("audit", "list", "--since", "2100-01-01")["entries"] == []
    assert commands.json("audit", "list", "--until", "2000-01-01T00:00")["entries"] == []
    assert len(commands.json("audit", "list", "-n", "2")["entries"]) == 2


def test_the_trail_is_searched_by_what_was_shown(commands: Commands) -> None:
    question = "What is the Kestrel budget for 2027?"
    [citation] = commands.json("ask", question, "--as", "alice")["citations"]

    def found(*filters: str) -> list[str]:
        return [entry["kind"] for entry in commands.json("audit", "list", *filters)["entries"]]

    about = found("--document", citation["document"])
    assert about == ["answer:given", "passages:retrieved", "documents:changed"]
    commands.fail("audit", "list", "--document", "none", exit_code=5)
    assert found("--rule", "label-allows-group")[-1] == "passages:retrieved"
    assert found("--asked", question) == ["question:asked"]
    assert found("--asked", question + " ") == []
    assert found("--type", "PERSON") == ["answer:given"], "replaced for the model; the passage cited names nobody"
    commands.fail("audit", "list", "--type", "a person", exit_code=2)


def test_the_trail_reads_well(commands: Commands) -> None:
    commands.succeed("search", "Kestrel", "--as", "alice")
    assert "principal=alice" in commands.succeed("audit", "list")
    asked = commands.json("audit", "list", "--kind", "search:asked")["entries"][0]
    assert "query_hmac" in commands.succeed("audit", "show", str(asked["entry"]))
    assert commands.json("audit", "show", asked["hash"])["entries"] == [asked]


def test_an_answer_is_proved_by_its_receipt(commands: Commands, tmp_path: Path) -> None:
    answer = commands.json("ask", "What is the Kestrel budget for 2027?", "--as", "alice")
    file, out = tmp_path / "answer.json", tmp_path / "evidence.json"
    file.write_text(json.dumps(answer))
    told = commands.json("audit", "prove", str(file), "--out", str(out))
    assert (told["ok"], told["problems"]) == (True, [])
    assert json.loads(out.read_text())["receipt"] == answer["receipt"]
    assert commands.recorded("trail:read")[-1]["operation"] == "prove"
    file.write_text(json.dumps(answer["receipt"]))
    assert "ours" in commands.succeed("audit", "prove", str(file))
    (tmp_path / "text").write_text("Another answer.")
    refused = commands("audit", "prove", str(file), "--answer", str(tmp_path / "text"))
    assert (refused.exit_code, "not the one" in refused.stdout) == (1, True)
    completion = {"choices": [{"message": {"content": answer["answer"]}}], "muniment": answer}
    file.write_text(json.dumps(completion))
    assert "Its text is the one" in commands.succeed("audit", "prove", str(file))
    forged = answer["receipt"] | {"receipt": answer["receipt"]["receipt"] | {"principal": "bob"}}
    file.write_text(json.dumps(forged))
    assert commands("audit", "prove", str(file)).exit_code == 1
    for noise in ("{", "[]", "{}", '"x"', '{"choices": []}'):
        file.write_text(noise)
        commands.fail("audit", "prove", str(file), exit_code=2)
    commands.fail("audit", "prove", str(tmp_path / "none"), exit_code=2)


def test_the_public_key_is_what_auditors_check_with(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_text(commands.succeed("audit", "key"))
    assert "PUBLIC KEY" in (tmp_path / "public.pem").read_text()
    assert commands.json("audit", "verify", "--public-key", str(tmp_path / "public.pem"))["ok"]
    verifier = Path(__file__).parents[3] / "deploy" / "verify_trail.py"
    trail = ["trail", str(commands.home / "data" / "audit.db"), "--key", str(tmp_path / "public.pem")]
    done = subprocess.run([sys.executable, "-I", str(verifier), *trail], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_entries_are_exported_and_gone_on_with(commands: Commands, tmp_path: Path) -> None:
    commands.succeed("search", "Kestrel", "--as", "alice")
    first = commands("audit", "export")
    entries = [json.loads(line) for line in first.stdout.splitlines()]
    assert [entry["entry"] for entry in entries] == list(range(1, len(entries) + 1))
    assert "search:asked" in {entry["kind"] for entry in entries}
    assert f"Go on with --after {len(entries)}." in first.stderr
    out = tmp_path / "entries.log"
    for format_ in ("ocsf", "cef"):
        commands.succeed("audit", "export", "--format", format_, "--after", str(len(entries)), "--out", str(out))
    added = out.read_text().splitlines()
    assert json.loads(added[0])["unmapped"]["operation"] == "export", "the export before is in the trail"
    assert added[-1].startswith("CEF:0|Muniment|")
    assert commands("audit", "export", "--after", "1000000").stdout == ""
    commands.fail("audit", "export", "--out", str(tmp_path / "none" / "x"), exit_code=2)
    commands.fail("audit", "export", "--format", "xml", exit_code=2)


def test_that_the_trail_was_read_is_in_the_trail(commands: Commands) -> None:
    commands.succeed("audit", "list", "-n", "3")
    assert commands.recorded("trail:read")[0]["operation"] == "list"


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--since", "yesterday"],
        ["list", "--since", "0001-01-01T00:00:00+14:00"],
        ["list", "-n", "0"],
        ["list", "-n", "9" * 20],
    ],
)
def test_wrong_filters_are_refused(commands: Commands, arguments: list[str]) -> None:
    commands.fail("audit", *arguments, exit_code=2)


def test_what_the_trail_does_not_hold_is_said(commands: Commands) -> None:
    commands.fail("audit", "show", "99999", exit_code=5)
    commands.fail("audit", "show", "rnothing", exit_code=5)
    for digits in (18, 19, 20):
        commands.fail("audit", "show", "9" * digits, exit_code=5)
    commands.fail("audit", "show", "9" * 5000, exit_code=2)


def test_a_whole_trail_verifies(commands: Commands) -> None:
    report = commands.json("audit", "verify")
    assert report["ok"] is True
    assert report["findings"] == []
    assert report["head"]["entry"] == report["entries"] > 4
    assert "Nothing was altered" in commands.succeed("audit", "verify")


def alter(commands: Commands, statement: str) -> None:
    with sqlite3.connect(commands.home / "data" / "audit.db") as connection:
        for table in ("log", "entries", "checkpoints"):
            for verb in ("update", "delete"):
                connection.execute(f"DROP TRIGGER {table}_no_{verb}")
        triggers = connection.execute("SELECT 1").fetchall()
        assert triggers
        connection.execute(statement)
    connection.close()


def test_an_altered_trail_is_told_and_located(commands: Commands) -> None:
    alter(commands, 'UPDATE entries SET body = replace(body, \'"user":"p\', \'"user":"q\') WHERE id = 2')
    result = commands("audit", "verify", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert any(finding["first"] <= 2 <= max(finding["last"], 2) for finding in report["findings"])
    people = commands("audit", "verify")
    assert people.exit_code == 1
    assert "not what was written" in people.stdout


def test_a_cut_trail_is_told_by_a_kept_checkpoint_alone(commands: Commands, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    (commands.home / "muniment.toml").write_text(f'[audit]\ncheckpoint_file = "{kept}"\n')
    before = (commands.home / "data" / "audit.db").read_bytes()
    commands.succeed("search", "Kestrel", "--as", "alice")
    commands.succeed("audit", "verify")
    assert kept.exists()
    for leftover in commands.home.glob("data/audit.db-*"):
        leftover.unlink()
    (commands.home / "data" / "audit.db").write_bytes(before)
    assert commands("audit", "verify").exit_code == 1
    (commands.home / "muniment.toml").write_text("")
    assert commands("audit", "verify").exit_code == 0  # Negative control: the file alone cannot know.
    assert commands("audit", "verify", "--checkpoint", str(kept)).exit_code == 1


def test_an_auditor_needs_no_home(commands: Commands, tmp_path: Path) -> None:
    public = tmp_path / "public.pem"
    public.write_text(open_keys(commands.home / "keys").public_key_pem())
    trail = commands.home / "data" / "audit.db"
    copy = tmp_path / "copy.db"
    copy.write_bytes(trail.read_bytes())
    (commands.home / "muniment.toml").unlink()
    commands.succeed("audit", "verify", "--trail", str(copy), "--public-key", str(public))


def test_a_trail_that_is_none_is_said(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "none.db").write_bytes(b"no trail")
    for name in ("none.db", "gone.db"):
        result = commands("audit", "verify", "--trail", str(tmp_path / name))
        assert result.exit_code == 10
        assert "Traceback" not in result.output
    (tmp_path / "empty").write_text("")
    commands.fail("audit", "verify", "--checkpoint", str(tmp_path / "empty"), exit_code=2)
    commands.fail("audit", "verify", "--checkpoint", str(tmp_path / "gone"), exit_code=2)
    commands.fail("audit", "verify", "--public-key", str(tmp_path / "gone"), exit_code=2)


def test_groups_are_nested_and_taken_apart(commands: Commands) -> None:
    commands.succeed("groups", "nest", "finance", "staff")
    listed = {view["group"]: view for view in commands.json("groups", "list")}
    assert listed["finance"] == {"group": "finance", "users": 1, "within": [{"group": "staff", "origin": "local"}]}
    assert listed["staff"] == {"group": "staff", "users": 0, "within": []}
    assert "staff (local)" in commands.succeed("groups", "list")
    users = {user["id"]: user for user in commands.json("users", "list")}
    assert users["alice"]["groups"] == ["everyone", "finance", "staff"]
    commands.fail("groups", "nest", "finance", "staff", exit_code=6)
    commands.succeed("groups", "unnest", "finance", "staff")
    commands.fail("groups", "unnest", "finance", "staff", exit_code=5)


def test_a_service_is_no_user_and_stays_one(commands: Commands) -> None:
    commands.succeed("users", "add", "entra", "--service", "--role", "provisioner")
    commands.succeed("keys", "create", "entra", "--scope", "directory:manage")
    commands.fail("users", "add", "entra", "--role", "employee", exit_code=6)
    assert "keys create" in commands("users", "password", "entra", "--stdin", stdin="a long enough phrase 7\n").stderr
    commands.fail("users", "add", "alice", "--service", exit_code=6)
    commands.fail("users", "add", "--service", "--from", "access.json", exit_code=2)


def test_without_a_directory_there_is_none_to_read(commands: Commands) -> None:
    commands.fail("directory", "sync", exit_code=5)
    state = commands.json("directory", "status")
    assert (state["users"], state["read_at"], state["problem"]) == (0, None, "")
    assert "No directory is set up" in commands("doctor").output


def test_owners_of_a_source_are_shown_and_changed(commands: Commands) -> None:
    assert commands.json("sources", "owners", "company") == {"source": "company", "owners": {"users": [], "groups": []}}
    changed = commands("sources", "owners", "company", "--add", "alice", "--add", "finance")
    assert changed.exit_code == 0
    assert "alice has not the role source-owner" in changed.stderr
    commands.succeed("sources", "owners", "company", "--remove", "user:alice")
    told = commands.json("sources", "owners", "company")
    assert told["owners"] == {"users": [], "groups": ["finance"]}
    assert [event["added"] for event in commands.recorded("source:owners-changed")] == [
        ["group:finance", "user:alice"],
        [],
    ]
    commands.fail("sources", "owners", "company", "--add", "eve", exit_code=5)
    commands.fail("sources", "owners", "nowhere", exit_code=5)
    path = f"path={commands.documents}"
    commands.succeed("users", "add", "sam", "--role", "source-owner")
    commands.fail("sources", "add", "more", "--type", "folder", "--set", path, "--owner", "eve", exit_code=5)
    commands.succeed("sources", "add", "more", "--type", "folder", "--set", path, "--owner", "sam")
    assert commands.json("sources", "owners", "more")["owners"]["users"] == ["sam"]
