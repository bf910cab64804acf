"""A text's vector depends on the text alone, whatever it is embedded with."""

import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models.embedder import Embedder, Precision

WORDS = "leave salary server holiday contract office travel laptop meeting report policy budget".split()


def texts(count: int) -> list[str]:
    rng = random.Random(5)
    return [" ".join(rng.choices(WORDS, k=rng.choice([1, 3, 12, 40]))) for _ in range(count)]


@pytest.fixture(scope="module", params=list(Precision))
def embedder(request: pytest.FixtureRequest, model_path: Callable[[str], Path]) -> Embedder:
    made = Embedder(model_path("all-minilm-l6-v2"), precision=request.param)
    with warnings.catch_warnings(record=True) as caught:
        made.load()
    # Libraries may warn while they are imported for the first time; that is not ours, and pytest would make it fail.
    assert [str(warning.message) for warning in caught if "muniment" in warning.filename] == []
    return made


def test_an_embedder_is_loaded_before_its_use(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="load"):
        Embedder(tmp_path).embed_query("x")


@pytest.mark.models
def test_vectors_are_the_same_to_the_bit_whatever_the_company(embedder: Embedder) -> None:
    some = texts(12)
    together = embedder.embed(some)
    backwards = embedder.embed(some[::-1])[::-1]
    alone = np.vstack([embedder.embed_query(text) for text in some])
    assert np.array_equal(together, backwards)
    assert np.array_equal(together, alone)


@pytest.mark.models
def test_control_padding_in_batches_does_change_vectors(embedder: Embedder) -> None:
    """What the library does by default, in the fast precision: the company of a text shows in its vector."""
    if embedder.precision is Precision.FLOAT32:
        pytest.skip("shows in bfloat16 alone: fp32 differs by 1e-7")
    parts, some = embedder._loaded(), texts(12)
    with parts.torch.autocast("cpu", dtype=parts.torch.bfloat16):
        together = parts.model.encode(some, batch_size=12, show_progress_bar=False)
        alone = np.vstack([parts.model.encode([text], show_progress_bar=False) for text in some])
    assert np.abs(together - alone).max() > 1e-5


@pytest.mark.models
def test_vectors_have_length_one_and_their_shape(embedder: Embedder) -> None:
    vectors = embedder.embed(["one", "two", ""])
    assert (vectors.shape, vectors.dtype) == ((3, embedder.dimensions), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert embedder.embed([]).shape == (0, 384)
    assert embedder.id == f"all-minilm-l6-v2/{embedder.precision}"


@pytest.mark.models
def test_vectors_are_those_of_the_model_card(embedder: Embedder) -> None:
    """Equal to the library's own single-precision vectors, up to what the precision allows."""
    parts, some = embedder._loaded(), texts(6)
    expected = parts.model.encode(some, normalize_embeddings=True, show_progress_bar=False)
    likeness = (embedder.embed(some) * expected).sum(axis=1)
    assert likeness.min() > (0.9999 if embedder.precision is Precision.BFLOAT16 else 0.999999)


@pytest.mark.models
def test_like_texts_are_near(embedder: Embedder) -> None:
    question = embedder.embed_query("How much vacation do I get?")
    leave, server = embedder.embed(["Employees get 28 days of holiday.", "The server restarts at night."])
    assert question @ leave > question @ server + 0.2


@pytest.mark.models
def test_tokens_are_counted_with_their_frame_and_not_cut(embedder: Embedder) -> None:
    assert embedder.count_tokens("") == 2
    assert embedder.count_tokens("leave") == 3
    assert embedder.count_tokens("leave " * 1000) == 1002
    assert embedder.max_tokens == 256


@pytest.mark.models
def test_what_is_longer_than_the_model_reads_is_ignored(embedder: Embedder) -> None:
    fits = "leave " * (embedder.max_tokens - 2)
    assert np.array_equal(embedder.embed_query(fits), embedder.embed_query(f"{fits} and a server"))
    assert not np.array_equal(embedder.embed_query(fits), embedder.embed_query(f"server {fits}"))


@pytest.mark.models
def test_tokens_come_with_the_vector_and_stand_where_they_say(embedder: Embedder) -> None:
    text = "Unlimited holidays?"
    whole = embedder.embed_whole(text)
    assert np.array_equal(whole.vector, embedder.embed_query(text))
    assert [text[start:end] for start, end in whole.offsets] == ["Unlimited", "holidays", "?"]
    assert whole.tokens.shape == (3, embedder.dimensions)
    assert np.linalg.norm(whole.tokens, axis=1) == pytest.approx(1, abs=1e-6)
    assert embedder.offsets(text) == whole.offsets
    assert embedder.embed_whole("").tokens.shape == (0, embedder.dimensions)


@pytest.mark.models
def test_tokens_of_like_words_are_near_where_they_stand(embedder: Embedder) -> None:
    vacation, server = (embedder.embed_whole(text).tokens for text in ("a long vacation", "a small server"))
    holiday = embedder.embed_whole("How much holiday do I get?").tokens
    assert (holiday @ vacation.T).max() > (holiday @ server.T).max() + 0.1


@pytest.mark.models
def test_what_is_made_of_each_text_comes_in_their_order(embedder: Embedder) -> None:
    some = texts(6)
    made = embedder.embed_each(some, lambda text, whole: (text, whole.vector.tobytes()))
    assert made == [(text, embedder.embed_query(text).tobytes()) for text in some]
