"""A generator is asked in the way it was catalogued with, or not at all; versions name every byte."""

import hashlib
from collections.abc import Sequence

import msgspec
import pytest

from models.catalogue import Kind, ModelFile, load_catalogue
from models.engine import Turn
from models.errors import ModelCorruptError
from models.fingerprints import require_template, template_sha256
from models.llama import templates


def test_the_shipped_generators_have_the_template_of_today() -> None:
    generators = [artefact for artefact in load_catalogue().artefacts if artefact.kind is Kind.GENERATOR]
    assert generators
    for artefact in generators:
        assert artefact.template
        assert artefact.template_sha256 == template_sha256(artefact.template)
        require_template(artefact)


def test_a_template_that_changed_stops_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control of the one above: a template that ends turns with another control token."""

    def other(vocabulary: templates.Vocabulary) -> templates.Assemble:
        def assemble(turns: Sequence[Turn]) -> list[templates.Segment]:
            return [*templates.chatml(vocabulary)(turns), ("", [vocabulary.control("<|endoftext|>")])]

        return assemble

    artefact = next(one for one in load_catalogue().artefacts if one.kind is Kind.GENERATOR)
    monkeypatch.setitem(templates.TEMPLATES, "chatml", other)
    with pytest.raises(ModelCorruptError, match="template_sha256"):
        require_template(artefact)


def test_what_is_not_conversed_with_has_none() -> None:
    require_template(load_catalogue().default(Kind.EMBEDDER))


def test_the_version_of_a_file_is_its_digest_and_of_many_their_list() -> None:
    catalogue = load_catalogue()
    generator, embedder = catalogue.default(Kind.GENERATOR), catalogue.default(Kind.EMBEDDER)
    assert generator.version_sha256 == generator.sha256
    listed = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(embedder.files, key=lambda file: file.path))
    assert embedder.version_sha256 == hashlib.sha256(listed.encode()).hexdigest()
    # Another tokenizer or another length is another version, though the weights are the same.
    changed = tuple(
        ModelFile(file.path, file.size_bytes, "0" * 64) if file.path == "tokenizer.json" else file
        for file in embedder.files
    )
    other = msgspec.structs.replace(embedder, files=changed)
    assert other.sha256 == embedder.sha256
    assert other.version_sha256 != embedder.version_sha256
