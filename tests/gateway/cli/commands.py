"""Running commands in this process on a real home, with fakes where models would be."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from gateway.cli import product
from gateway.cli.program import app
from gateway.config import Home
from gateway.services import Services
from models.catalogue import Catalogue
from models.engine import Engine
from tests.fakes.hash_embedder import HashEmbedder
from tests.fakes.parsers import parser_here
from tests.fakes.patterns import PatternRedactor
from tests.gateway.gated_model import GatedModel

KESTREL_ANSWER = "The Kestrel budget for 2027 is 1400000 euros."
DOCUMENTS = {
    "handbook/travel.md": (
        "# Travel policy\n\n## Allowances\n\nThe daily allowance for travel in Norway is 480 kroner. "
        "Ada Brandt approves exceptions; the test card is 4111 1111 1111 1111."
    ),
    "handbook/holidays.md": "# Holidays\n\nEveryone has 27 days of paid holiday a year, counted from January.",
    "finance/budget.md": f"# Budget 2027\n\n## Kestrel\n\n{KESTREL_ANSWER}",
}
ACCESS = {
    "groups": ["everyone", "finance"],
    "users": {"alice": ["everyone", "finance"], "bob": ["everyone"]},
    "rules": [{"prefix": "handbook/", "groups": ["everyone"]}, {"prefix": "finance/", "groups": ["finance"]}],
}


class Commands:
    """Runs command lines against one home, and says what the model answers."""

    def __init__(self, folder: Path, model: GatedModel) -> None:
        self.home = folder / "home"
        self.documents = folder / "documents"
        self.access = folder / "access.json"
        self.model = model

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, ["--home", str(self.home), *arguments], input=stdin)

    def succeed(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """Run a command that must succeed; returns what it printed."""
        result = self(*arguments, stdin=stdin)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str | bytes | None = None) -> Any:
        """Run a command with `--json` that must succeed; returns what it printed, decoded."""
        return json.loads(self.succeed(*arguments, "--json", stdin=stdin))

    def fail(self, *arguments: str, exit_code: int) -> str:
        """Run a command that must fail in a way of ours: one sentence or two on stderr, and nothing else."""
        result = self(*arguments)
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        assert result.stdout == ""
        assert len(result.stderr.strip().splitlines()) == 1
        return result.stderr

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind in the trail, oldest first."""
        listed = self.json("audit", "list", "--kind", kind, "-n", "1000")["entries"]
        return [entry["event"] for entry in reversed(listed)]


def write_documents(folder: Path) -> None:
    """The documents and their access file."""
    for path, text in DOCUMENTS.items():
        (folder / "documents" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "documents" / path).write_text(text, encoding="utf-8")
    (folder / "access.json").write_text(json.dumps(ACCESS))


def use_fakes(monkeypatch: pytest.MonkeyPatch, model: GatedModel) -> None:
    """Commands open services whose models are fakes; all else is real."""

    class FakedServices(Services):
        def __init__(self, home: Home) -> None:
            super().__init__(home)
            vars(self).update(embedder=HashEmbedder(), new_parser=parser_here)

        @cached_property
        def redactor(self) -> Any:
            return PatternRedactor(self.site_redaction)

        @cached_property
        def engine(self) -> Engine:
            return model

    monkeypatch.setattr(product, "Services", FakedServices)


def services_catalogue(monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue) -> None:
    """Commands open services with this catalogue."""
    opened = product.Services

    def with_catalogue(home: Home) -> Services:
        services = opened(home)
        vars(services)["catalogue"] = catalogue
        return services

    monkeypatch.setattr(product, "Services", with_catalogue)
