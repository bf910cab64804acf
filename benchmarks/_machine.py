"""What every benchmark says of its run, and where it finds models and corpora."""

import json
import os
import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import platformdirs

ROOT = Path(__file__).parents[1]


def shared_folder() -> Path:
    """The folder with the corpora; without it there is nothing to measure, which is said and is no failure."""
    folder = Path(os.environ.get("MUNIMENT_SHARED") or ROOT.parent / "shared")
    if not (folder / "corpora").is_dir():
        print("Skipped: the shared corpora are not beside the repository; set MUNIMENT_SHARED to their folder.")
        sys.exit(0)
    return folder


def model_folder(model: str) -> Path:
    """Where a pulled model lies."""
    chosen = os.environ.get("MUNIMENT_MODELS")
    folder = (Path(chosen) if chosen else platformdirs.user_cache_path("muniment") / "models") / model
    if not folder.is_dir():
        print(f"Skipped: run `muniment models pull {model}` first.")
        sys.exit(0)
    return folder


def about_this_run(packages: list[str]) -> dict[str, Any]:
    """Machine, versions and load."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "load_average": os.getloadavg(),
    }


def write_result(name: str, result: dict[str, Any]) -> None:
    """Write one file of `benchmarks/results/`."""
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {path.relative_to(ROOT)}")
