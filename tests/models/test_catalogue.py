"""The catalogue says exactly what it means, or it is refused."""

from pathlib import Path

import pytest

from models.catalogue import Hub, Kind, PackageParts, load_catalogue
from models.errors import CatalogueError

GOOD = """
[defaults]
embedder = "e"
entity-recogniser = "r"
generator = "g"
russian-recogniser = "s"

[[artefacts]]
id = "g"
kind = "generator"
title = "G"
licence = "MIT"
context_tokens = 10
template = "chatml"
digests_from = "https://example.org/"
files = [{ path = "g.gguf", size_bytes = 3, sha256 = "SHA" }]
sources = [{ type = "package-parts", parts = [{ package = "p1", version = "1", member = "m", size_bytes = 3 }] }]

[[artefacts]]
id = "e"
kind = "embedder"
title = "E"
licence = "MIT"
digests_from = "https://example.org/"
files = [{ path = "a/b", size_bytes = 0, sha256 = "SHA" }, { path = "c", size_bytes = 0, sha256 = "SHA" }]
sources = [{ type = "hub", url = "https://example.org/x/" }]

[[artefacts]]
id = "r"
kind = "entity-recogniser"
title = "R"
licence = "MIT"
digests_from = "https://example.org/"
files = [{ path = "c", size_bytes = 0, sha256 = "SHA" }]
sources = []

[[artefacts]]
id = "s"
kind = "russian-recogniser"
title = "S"
licence = "MIT"
digests_from = "https://example.org/"
files = [{ path = "c", size_bytes = 0, sha256 = "SHA" }]
sources = []
""".replace("SHA", "0" * 64)


def write(folder: Path, text: str) -> Path:
    path = folder / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sound_catalogue_is_read(tmp_path: Path) -> None:
    catalogue = load_catalogue(write(tmp_path, GOOD))
    assert catalogue.default(Kind.GENERATOR).id == "g"
    assert catalogue.artefact("e").sources == (Hub("https://example.org/x/"),)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('title = "G"', 'title = "G"\nsurprise = 1', "surprise"),
        ('kind = "generator"', 'kind = "toaster"', "toaster"),
        ("size_bytes = 3, sha256", 'size_bytes = "3", sha256', "int"),
        ("size_bytes = 3, sha256", "size_bytes = -3, sha256", ">= 0"),
        ('sha256 = "0', 'sha256 = "Z', "regex"),
        ('path = "a/b"', 'path = "../b"', "not a plain path"),
        ('path = "a/b"', 'path = "/b"', "not a plain path"),
        ('path = "a/b"', 'path = "a//b"', "not a plain path"),
        ('path = "a/b"', 'path = "c"', "stands twice"),
        ('id = "e"', 'id = "g"', "two models are named g"),
        ('id = "e"', 'id = "../e"', "regex"),
        ('embedder = "e"', 'embedder = "g"', "not a model of that kind"),
        ('embedder = "e"\n', "", "no default embedder"),
        ('url = "https://example.org/x/"', 'url = "http://example.org/x/"', "regex"),
        ('package = "p1"', 'package = "--index-url=http://evil"', "regex"),
        ('version = "1"', 'version = "1 --pre"', "regex"),
        ('member = "m", size_bytes = 3', 'member = "m", size_bytes = 2', "the parts make 2 bytes"),
        ('template = "chatml"\n', "", "needs a template"),
        ('template = "chatml"', 'template = "from-the-file"', "from-the-file"),
        ("[defaults]", "[defaults", "not valid"),
    ],
)
def test_a_wrong_catalogue_is_refused_with_the_reason(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in GOOD
    with pytest.raises(CatalogueError, match=r"catalogue\.toml") as caught:
        load_catalogue(write(tmp_path, GOOD.replace(old, new, 1)))
    assert told in str(caught.value)


def test_an_unknown_model_is_an_error_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"no model 'x'\. It holds: g, e, r"):
        load_catalogue(write(tmp_path, GOOD)).artefact("x")


def test_a_missing_catalogue_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="cannot be read"):
        load_catalogue(tmp_path / "none.toml")


def test_the_shipped_catalogue_names_the_models_the_product_needs() -> None:
    catalogue = load_catalogue()
    assert {kind: catalogue.default(kind).kind for kind in Kind} == {kind: kind for kind in Kind}
    small = catalogue.artefact("qwen2.5-coder-0.5b-instruct-q4_k_m")
    assert small.sha256 == "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
    assert small.size_bytes == 491_400_064
    assert isinstance(small.sources[0], PackageParts)
    assert catalogue.artefact("all-minilm-l6-v2").sha256.startswith("53aa51172d14")
    assert catalogue.artefact("en-core-web-sm-3.8.0").size_bytes > 12_000_000
