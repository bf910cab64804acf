"""The documents say what is so: files and links they name exist, and their tables are those of the code."""

import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
import typer
import yaml

from gateway.cli.program import app
from gateway.config import Config
from gateway.errors import TRANSLATIONS
from gateway.policy.testing import read_tests, run_tests
from policies.actions import Action
from policies.audit import events
from policies.bundles import Bundle, compile_bundle

ROOT = Path(__file__).parent.parent
PACKAGES = ("connectors", "gateway", "models", "policies", "retrieval")
TREES = (*PACKAGES, "benchmarks", "deploy", "docs", "examples", "tests")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(page for tree in TREES for page in (ROOT / tree).rglob("*.md"))]
    if not page.is_relative_to(ROOT / "examples" / "company") and not page.is_relative_to(ROOT / "examples" / "sources")
)
WRITTEN_BY_RUNNING = ("benchmarks/results",)
"""Folders that documents name and that a run creates."""


def without_blocks(text: str) -> str:
    """The text without fenced blocks, whose contents are examples."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def broken_links(page: Path, text: str) -> list[str]:
    targets = re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))
    files = [target.split("#")[0] for target in targets if not re.match(r"https?://|mailto:|#", target)]
    return [file for file in files if not (page.parent / file).exists()]


def missing_files(text: str) -> list[str]:
    """Paths in backticks that begin with one of our folders and do not exist."""
    named = re.findall(rf"`((?:{'|'.join(TREES)})/[\w./-]*)`", without_blocks(text))
    wanted = [name for name in named if not name.startswith(WRITTEN_BY_RUNNING)]
    return [name for name in wanted if not (ROOT / name).exists()]


def missing_tests(text: str) -> list[str]:
    """Tests named as `path::function` that do not exist."""
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", text)
    return [
        f"{path}::{name}"
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8")
    ]


def unknown_commands(text: str) -> list[str]:
    """Commands named in backticks or at the beginning of a line of a block that the program does not have."""
    named = re.findall(r"(?:`|^\s*)muniment ((?:[a-z][a-z-]* ?){1,2})", text, flags=re.MULTILINE)
    return [command for command in named if not is_command(command.split())]


def is_command(words: list[str]) -> bool:
    found: Any = typer.main.get_command(app)
    for word in words:
        if not hasattr(found, "commands"):
            return True  # What follows a command are its arguments.
        if word not in found.commands:
            return False
        found = found.commands[word]
    return True


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head; backticks taken off."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    body = next(part for part in section if part.startswith(f"{heading}\n"))
    lines = [line for line in body.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def settings(type_: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    """Every setting by its dotted name, with its default."""
    found: dict[str, Any] = {}
    hints = get_type_hints(type_)
    for field in msgspec.structs.fields(type_):
        if isinstance(hints[field.name], type) and issubclass(hints[field.name], msgspec.Struct):
            found |= settings(hints[field.name], f"{prefix}{field.name}.")
        else:
            default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
            found[prefix + field.name] = default
    return found


def distributions(extra: str | None = None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return {re.split(r"[\[<>=~!; ]", name)[0] for name in wanted}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert broken_links(page, text) == []
    assert missing_files(text) == []
    assert missing_tests(text) == []
    assert unknown_commands(text) == []


def test_what_does_not_exist_is_noticed() -> None:
    """Negative control of the check above."""
    assert broken_links(ROOT / "README.md", "[gone](docs/gone.md) [here](LICENSE) [web](https://example.org)") == [
        "docs/gone.md"
    ]
    assert missing_files("`policies/gone.py` `policies/labels.py` `gone.py`") == ["policies/gone.py"]
    assert missing_tests("`tests/test_docs.py::test_gone` `tests/test_docs.py::missing_tests`") == [
        "tests/test_docs.py::test_gone"
    ]
    assert unknown_commands("`muniment audit forget` `muniment sync papers` `muniment dance`") == [
        "audit forget",
        "dance",
    ]


def test_the_examples_of_the_page_on_policies_work(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    blocks = {kind: re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE) for kind in ("cedar", "yaml")}
    (tests,) = blocks["yaml"]
    (tmp_path / "tests.yaml").write_text(tests, encoding="utf-8")
    networks = {"office", "loopback", "local", "other"}
    authorizer = compile_bundle(Bundle.of({str(n): block for n, block in enumerate(blocks["cedar"])}), networks)
    results = run_tests(authorizer, "policy.md", read_tests(tmp_path / "tests.yaml"))
    assert [result for result in results if not result.passed] == []
    assert len(results) > 2
    shipped_alone = run_tests(compile_bundle(Bundle()), "policy.md", read_tests(tmp_path / "tests.yaml"))
    assert not all(result.passed for result in shipped_alone)


def test_documents_that_the_code_names_exist() -> None:
    code = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    named = {name for path in code for name in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))}
    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_folder_has_a_readme() -> None:
    sources = [path.parent for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    folders = {folder for folder in sources if folder.name != "versions"} | {ROOT / tree for tree in TREES}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if not (folder / "README.md").exists()] == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_has_its_four_headings_and_is_a_page_long(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == ["Context", "Decision", "Consequences", "Alternatives"]
    assert re.match(rf"# {page.name[:4]}: \S", text)
    assert len(text.split()) < (2000 if page.name.startswith("0002") else 800)


def test_the_index_of_decisions_is_complete() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\(decisions/(.+\.md)\)", index) == [page.name for page in DECISIONS]
    assert len({page.name[:4] for page in DECISIONS}) == len(DECISIONS)


def test_the_table_of_settings_is_that_of_the_code() -> None:
    documented = {name: default for name, default, _ in table("reference.md", "Settings")}
    assert documented == {name: msgspec.json.encode(default).decode() for name, default in settings(Config).items()}


def test_the_table_of_permissions_is_that_of_the_code() -> None:
    assert [row[0] for row in table("reference.md", "Permissions")] == [action.value for action in Action]


def test_the_table_of_audit_events_is_that_of_the_code() -> None:
    assert [row[0] for row in table("reference.md", "Audit events")] == sorted(
        event.kind for event in get_args(events.Event)
    )


def test_the_table_of_errors_is_that_of_the_code() -> None:
    documented = [(code, int(status), int(exit_code)) for code, status, exit_code, _ in table("reference.md", "Errors")]
    assert documented == sorted((row.code, row.status, row.exit_code) for row in TRANSLATIONS)


def rows_without_a_test(text: str) -> list[str]:
    """Rows that claim to answer a rule and name no test of ours that exists; those that say *not yet* claim nothing."""
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("|---")]
    claims = [row for row in rows if "*not yet*" not in row and not row.rstrip().endswith("| test |")]
    named = {row: re.findall(r"`(tests/[\w/]+\.py)(?:::\w+)?`", row.rsplit(" | ", 1)[-1]) for row in claims}
    return [row for row, tests in named.items() if not tests or not all((ROOT / test).exists() for test in tests)]


def test_what_answers_a_rule_is_tested() -> None:
    page = (ROOT / "docs" / "compliance.md").read_text(encoding="utf-8")
    assert rows_without_a_test(page) == []
    assert rows_without_a_test("| 17 | erasure | it is done | `tests/test_gone.py::test_it` |") != []
    assert rows_without_a_test("| 17 | erasure | it is done, see `tests/test_docs.py` | |") != []
    assert rows_without_a_test("| 17 | erasure | *not yet* | |") == []


def test_every_dependency_has_a_row_with_its_reason() -> None:
    text = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| ([\w.-]+) \|", text, flags=re.MULTILINE)) - {"library"}
    assert distributions() <= rows
    assert rows <= distributions() | distributions("dev")


def compose_service() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert list(services) == ["gateway"]
    service: dict[str, Any] = services["gateway"]
    return service


def test_the_container_publishes_its_port_on_loopback_only() -> None:
    port = Config().server.port
    assert compose_service()["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_the_container_runs_without_rights_it_does_not_need() -> None:
    service = compose_service()
    assert service["cap_drop"] == ["ALL"]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_agrees_with_compose_and_settings() -> None:
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    home = re.findall(r"^VOLUME (\S+)$", image, flags=re.MULTILINE)
    assert [volume.split(":")[1] for volume in compose_service()["volumes"]] == home
    assert f"MUNIMENT_HOME={home[0]}" in image
    assert image.index("\nUSER muniment\n") < image.index("\nENTRYPOINT ")
    assert f"http://127.0.0.1:{Config().server.port}/health/ready" in image


def test_the_image_installs_the_pinned_torch() -> None:
    pinned = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'"torch==([\d.]+)"', pinned)
    assert version
    assert f"torch=={version[1]}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
