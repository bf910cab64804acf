"""Whatever somebody does at the command line is in the trail, or it is said here why not. A new command has to be
thought about: the walk is over the program itself."""

import json
from pathlib import Path
from typing import Any, Self

import pytest
import typer

from gateway.cli import investigating, product, serving
from gateway.cli import models as models_commands
from gateway.cli.program import app
from gateway.config import Home
from gateway.recording import Recorder
from models.catalogue import Catalogue, Kind, load_catalogue
from policies.audit.reader import read_on
from tests.gateway.cli.commands import Commands, services_catalogue
from tests.gateway.cli.test_cli_eval import QUESTIONS
from tests.gateway.cli.test_cli_models import artefact
from tests.gateway.cli.test_cli_models import mirror as mirror
from tests.gateway.cli.test_cli_models import models_folder as models_folder

LISTS = "lists names and states, and no document's text"
FIGURES = "shows figures of an evaluation, and nothing of documents or people"
RULES = "shows rules, and nothing of documents or people"
GIVEN_TEXT = "looks at a text that it is given; of the installation it reads settings alone"
OTHER_TESTS = "needs another server"
UNRECORDED = {
    "audit exports": f"{LISTS}; that one begins again is recorded: tests/gateway/cli/test_cli_exports.py",
    "audit go-on": "changes something after a loss alone: tests/policies/test_audit_seen.py",
    "audit key": "prints the public key, which is for everybody",
    "audit prepare": f"{OTHER_TESTS}: tests of trails in PostgreSQL",
    "audit reduce": "changes something once time is over alone: tests/policies/test_audit_retention.py",
    "audit stamps": "lists stamps of checkpoints, which hold digests alone",
    "compliance record": "lists settings, sources and how many users there are",
    "directory status": LISTS,
    "directory sync": f"{OTHER_TESTS}: tests/gateway/identity/test_ldap.py",
    "doctor": "says how the installation is, above all when its trail cannot be written",
    "eval list": FIGURES,
    "eval show": FIGURES,
    "groups list": LISTS,
    "hold list": LISTS,
    "keys list": LISTS,
    "models history": LISTS,
    "models list": LISTS,
    "policy history": RULES,
    "policy list": RULES,
    "policy test": "needs no installation",
    "redact": GIVEN_TEXT,
    "signer": "holds a key in a process of its own, which has no trail; what it signs is in the trail",
    "sources flags": LISTS,
    "sources list": LISTS,
    "sources skipped": LISTS,
    "users link": f"{OTHER_TESTS}: tests/gateway/cli/test_cli_sign_in.py",
    "users list": LISTS,
    "users sessions": LISTS,
}
"""Why these leave no entry."""


def commands_of(group: Any, before: str = "") -> set[str]:
    """Every command of the program, by the words one types."""
    found: set[str] = set()
    for name, command in group.commands.items():
        words = f"{before} {name}".strip()
        found |= commands_of(command, words) if hasattr(command, "commands") else {words}
    return found


def kinds_in(home: Path) -> list[str]:
    """The kinds of all entries of a home's trail."""
    trail = home / "data" / "audit.db"
    return [entry.kind for entry in read_on(trail, 0, 100_000)[1]] if trail.exists() else []


class Walk:
    """One command after the other on one home, and the kinds of entries that each leaves."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.left: dict[str, set[str]] = {}

    def entries(self) -> list[str]:
        return kinds_in(self.commands.home)

    def __call__(self, words: str, *arguments: str, stdin: str | None = None, exit_code: int = 0) -> str:
        before = len(self.entries())
        result = self.commands(*words.split(), *arguments, stdin=stdin)
        assert result.exit_code == exit_code, f"{words}: {result.output}"
        self.left[words] = set(self.entries()[before:])
        return result.stdout

    def json(self, words: str, *arguments: str) -> Any:
        return json.loads(self(words, *arguments, "--json"))


def begin_session(commands: Commands, user: str) -> None:
    with product.Services(Home(commands.home)) as services:
        services.sessions.begin(services.users.principal(user), "password")


def documents_and_people(walk: Walk, folder: Path) -> None:
    commands = walk.commands
    access = ["--access", str(commands.access)]
    walk("init")
    walk("users add", "--from", str(commands.access))
    source = ["--type", "folder", "--set", f"path={commands.documents}"]
    walk("sources add", "company", *source, *access)
    walk("sync")
    walk("sources owners", "company", "--add", "alice")
    walk("sources release", "company", "handbook/travel.md")
    walk("search", "Norway", "--as", "bob")
    walk("ask", "What is the Kestrel budget for 2027?", "--as", "alice", "--json")
    walk("usage report")
    walk("index rebuild")
    (folder / "questions.jsonl").write_text(json.dumps(QUESTIONS[0]))
    walk("eval run", str(folder / "questions.jsonl"), "--as-readers-from", str(commands.access), "--only", "retrieval")
    walk("groups nest", "finance", "everyone")
    walk("groups unnest", "finance", "everyone")
    walk("users password", "bob", "--stdin", stdin="correct unicorn battery staple 9\n")
    walk("users unlock", "bob")
    begin_session(walk.commands, "bob")
    walk("users sign-out", "bob")
    key = walk.json("keys create", "bob")
    walk("keys revoke", key["id"])
    walk("users disable", "bob")


def policies_and_models(walk: Walk, folder: Path) -> None:
    rules = folder / "rules"
    rules.mkdir()
    (rules / "own.cedar").write_text('@id("own") @reason("x") forbid (principal in Group::"nobody", action, resource);')
    asked = ["--user", "alice", "--document", "finance/budget.md"]
    walk("policy check", *asked)
    walk("policy explain", *asked)
    walk("policy simulate", str(rules))
    walk("policy load", str(rules))
    walk("policy rollback")
    walk("policy oversharing")
    walk("models pull", "other-model", "small-model", "--mirror", str(folder / "mirror"))
    walk("models verify", "other-model")
    walk("models use", "small-model")
    walk("models promote", "other-model", "--force", "--reason", "The old model is no longer licensed.")
    walk("models rollback")
    walk("index drop-old")


def the_trail(walk: Walk, folder: Path) -> None:
    request = walk.commands.json("audit", "list", "--kind", "answer:given")["entries"][0]["event"]["request"]
    answer = folder / "answer.json"
    walk("audit list")
    walk("audit show", "1")
    walk("audit verify")
    walk("audit export", "--out", str(folder / "exported"))
    walk("audit copy", str(folder / "copy.db"))
    walk("audit shown", "--user", "alice")
    walk("audit stale", "--document", "finance/budget.md")
    walk("audit timeline", "--request", request)
    answer.write_text(json.dumps(walk.json("ask", "What is the Kestrel budget for 2027?", "--as", "alice")))
    walk("audit prove", str(answer))
    held = walk.json("hold add", "--subject", "alice", "--reason", "A lawsuit is pending in the matter.")
    walk("hold end", held["id"])


def revealing(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    for auditor in ("audra", "aaron"):
        walk.commands.succeed("users", "add", auditor, "--role", "auditor")
    reason = ["--reason", "Somebody complained about an answer."]
    request = walk.commands.json("audit", "list", "--kind", "answer:given")["entries"][0]["event"]["request"]
    within = walk.json("audit investigation open", "--as", "audra", *reason)["id"]
    mine = ["--as", "audra", "--investigation", within]
    asked = [walk.json("audit reveal ask", request, *mine, *reason)["id"] for _ in range(2)]
    with monkeypatch.context() as another:
        another.setattr(investigating, "operating_system_user", lambda: "aaron")
        walk("audit reveal approve", asked[0], "--as", "aaron")
        walk("audit reveal refuse", asked[1], "--as", "aaron")
    walk("audit reveal open", asked[0], *mine)
    walk("audit reveal list")
    walk("audit investigation list")
    walk("audit investigation close", within, "--as", "audra")


class Listening:
    """A socket that nobody can reach, for a server that stops at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """There is nothing to close."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 0

    def run(self, **_: object) -> None:
        """Stop."""


def what_ends(walk: Walk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as quick:
        quick.setattr(serving, "_listen", lambda *_: Listening())
        quick.setattr(product, "create_app", lambda *_: None)
        quick.setattr(product, "server_config", lambda *_: None)
        quick.setattr(product, "Server", lambda _: Listening())
        walk("serve")
    walk("subject export", "alice", "--out", str(folder / "copy.zip"))
    walk("keys rotate", "master")
    walk("keys reseal")
    walk("keys rotate", "signing")
    walk("backup", str(folder / "backup"), "--without-keys")
    restored = ("--into", str(folder / "restored"), "--keys", str(walk.commands.home / "keys"), "--no-ledger")
    walk("restore", str(folder / "backup"), *restored)
    walk.left["restore"] = set(kinds_in(folder / "restored"))
    assert "backup:restored" in walk.left["restore"]
    walk("sources remove", "company")
    walk("erase", "--subject", "alice")


@pytest.fixture
def walk(empty: Commands, mirror: Path, models_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Walk:
    """With two small models beside those of the shipped catalogue."""
    shipped = load_catalogue()
    small = (artefact("other-model", Kind.GENERATOR), artefact("small-model", Kind.GENERATOR))
    known = Catalogue(shipped.defaults, (*shipped.artefacts, *small))
    monkeypatch.setattr(models_commands, "load_catalogue", lambda: known)
    services_catalogue(monkeypatch, known)
    empty.model.says("The Kestrel budget for 2027 is 1400000 euros.")
    return Walk(empty)


def walk_all(walk: Walk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents_and_people(walk, folder)
    policies_and_models(walk, folder)
    the_trail(walk, folder)
    revealing(walk, monkeypatch)
    what_ends(walk, folder, monkeypatch)


@pytest.mark.network
@pytest.mark.enable_socket
def test_every_command_leaves_an_entry_or_says_why_not(
    walk: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk_all(walk, tmp_path, monkeypatch)
    known = UNRECORDED.keys() | walk.left.keys()
    assert commands_of(typer.main.get_command(app)) - known == set()
    assert known - commands_of(typer.main.get_command(app)) == set()
    assert not UNRECORDED.keys() & walk.left.keys()
    assert [words for words, kinds in walk.left.items() if not kinds] == []
    assert walk.left["audit verify"] == {"trail:read"}
    assert walk.left["serve"] >= {"service:started", "service:stopped"}
    assert walk.left["sync"] >= {"sync:started", "sync:finished"}
    assert walk.left["eval run"] >= {"search:asked", "passages:retrieved", "model:evaluated"}


def test_a_command_that_records_nothing_is_noticed(walk: Walk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: a build in which checking a model is not recorded."""
    record = Recorder.record_now

    def forgetful(self: Recorder, event: Any) -> Any:
        return None if event.kind == "model:verified" else record(self, event)

    monkeypatch.setattr(Recorder, "record_now", forgetful)
    walk("init")
    walk("models pull", "other-model", "--mirror", str(tmp_path / "mirror"))
    walk("models verify", "other-model")
    assert [words for words, kinds in walk.left.items() if not kinds] == ["models verify"]


def test_a_new_command_is_noticed() -> None:
    """Negative control: it stands in no table, so the two sets above differ."""
    program = typer.Typer()
    program.command("sources")(lambda: None)
    program.command("dance")(lambda: None)
    assert commands_of(typer.main.get_command(program)) - UNRECORDED.keys() == {"sources", "dance"}
    assert "dance" not in UNRECORDED
