"""Slovnet's entity recogniser, asked for people in many texts at once. The door to slovnet and navec (Natasha, MIT).

The weights, the vocabularies and the tokens are Slovnet's; the arithmetic is done here, a few times as fast. Slovnet
fills up the texts of a batch to the longest, takes every word apart anew, and goes through tags text by text. Here
texts stand one after the other with a row of zeros between them, which is what Slovnet's filling comes to.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK = re.compile(r"\S+")
# Signs over which Slovnet's tokens may join with what stands beyond a blank: `из -за`.
_DASHES = "\\-\u2010\u2011\u2012\u2013\u2014\u2015\u2212_"
_LOOKS_BEYOND = re.compile(rf"[{_DASHES}.,/\\].|.*(?:[{_DASHES}]|\d[.,/\\])\Z", re.DOTALL)
_MOST_KEPT = 16_384
"""Pieces of text whose tokens are kept: some 10 MB."""
_BATCH_TOKENS = 2_048
_ROWS = 32
"""Rows of every product of matrices: always so many, so that no sum depends on how many texts are read at once."""

_Floats = NDArray[np.float32]
_Ints = NDArray[np.intp]
Token = tuple[int, int, int, int]
"""Where a token starts and ends, and the numbers of its word and of its shape in Slovnet's vocabularies."""


class SlovnetPeople:
    """Tells where people stand in Russian text; threads may share one."""

    def __init__(self, model: Path, vectors: Path) -> None:
        # Here, not above: a command that redacts nothing should not wait for them.
        from navec import Navec  # noqa: PLC0415
        from slovnet import NER  # noqa: PLC0415
        from slovnet.shape import word_shape  # noqa: PLC0415
        from slovnet.token import tokenize  # noqa: PLC0415

        loaded: Any = NER.load(str(model)).navec(Navec.load(str(vectors))).infer
        words, shapes = loaded.encoder.words_vocab, loaded.encoder.shapes_vocab
        self._embed = loaded.model.emb
        self._layers = [_Layer(layer) for layer in loaded.model.encoder.layers]
        self._head = loaded.model.head.proj
        self._transitions: _Floats = loaded.model.head.crf.transitions.array
        self._tags: list[str] = loaded.decoder.tags_vocab.items

        def tokens(text: str) -> list[Token]:
            return [
                (token.start, token.stop, words.encode(token.text.lower()), shapes.encode(word_shape(token.text)))
                for token in tokenize(text)
            ]

        self._tokens = lru_cache(_MOST_KEPT)(tokens)

    def find(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where people stand in each text; what is said of a text never depends on the others."""
        tokens = [self._tokens_of(text) for text in texts]
        found: list[list[tuple[int, int]]] = [[] for _ in texts]
        for batch in _batches([len(each) for each in tokens]):
            tags = self._tagged([tokens[at] for at in batch])
            for at, of_text in zip(batch, tags, strict=True):
                found[at] = list(self._people(tokens[at], of_text))
        return found

    def _tokens_of(self, text: str) -> list[Token]:
        """The tokens of a text: those of its pieces between blanks, which are kept, since most words come again."""
        chunks = [(match.start(), match[0]) for match in _CHUNK.finditer(text)]
        found: list[Token] = []
        for at, (start, chunk) in enumerate(chunks):
            before = after = ""
            if _LOOKS_BEYOND.match(chunk) and len(chunk) > 1:
                before = f"{chunks[at - 1][1][-1]} " if at else ""
                after = f" {chunks[at + 1][1]}" if at + 1 < len(chunks) else ""
            inside = range(len(before), len(before) + len(chunk))
            found += [
                (token[0] - len(before) + start, token[1] - len(before) + start, *token[2:])
                for token in self._tokens(before + chunk + after)
                if token[0] in inside
            ]
        return found

    def _tagged(self, texts: Sequence[Sequence[Token]]) -> Iterator[list[int]]:
        """The number of each token's tag, text by text."""
        sizes = np.array([len(tokens) for tokens in texts])
        starts = np.cumsum(sizes + 1) - sizes  # A row of zeros stands before each text, and one after the last.
        inside = np.ones(int(sizes.sum()) + len(texts) + 1, bool)
        inside[starts - 1] = inside[-1] = False
        kinds = np.array([token[2:] for tokens in texts for token in tokens])
        distinct, which = np.unique(kinds, axis=0, return_inverse=True)
        rows = np.full(len(inside), -1)
        rows[inside] = which.ravel()
        read = _cleared(self._layers[0].of_words(self._embed(distinct[:, 0], distinct[:, 1]), rows), inside)
        for layer in self._layers[1:]:
            read = _cleared(layer(read), inside)
        return self._decoded(_product(read, self._head.weight.array) + self._head.bias.array, starts, sizes)

    def _decoded(self, scores: _Floats, starts: _Ints, sizes: _Ints) -> Iterator[list[int]]:
        """The likeliest sequence of tags for each text (Viterbi), for all texts in step."""
        texts, longest = np.arange(len(sizes)), int(sizes.max())
        best = scores[starts]
        came_from = np.zeros((longest, len(sizes), scores.shape[1]), np.intp)
        for at in range(1, longest):
            goes_on = at < sizes
            ways = best[:, :, None] + self._transitions + scores[starts + np.minimum(at, sizes - 1)][:, None, :]
            came_from[at] = ways.argmax(1)
            best = np.where(goes_on[:, None], ways.max(1), best)
        tags = np.zeros((longest, len(sizes)), np.intp)
        tag = best.argmax(1)
        for at in range(longest - 1, -1, -1):
            tags[at] = tag
            tag = np.where(at < sizes, came_from[at][texts, tag], tag) if at else tag
        return (tags[:size, text].tolist() for text, size in enumerate(sizes))

    def _people(self, tokens: Sequence[Token], tags: Sequence[int]) -> Iterator[tuple[int, int]]:
        """The pieces that tags make of tokens, in the way of Slovnet: a tag that goes on does so whatever its kind."""
        kind, start, end = "", 0, 0
        for token, number in zip(tokens, tags, strict=True):
            part, _, of = self._tags[number].partition("-")
            if part in {"B", "O"} and kind == "PER":
                yield start, end
            if part in {"B", "O"}:
                kind, start = of, token[0]
            if part in {"B", "I"}:
                end = token[1]
        if kind == "PER":
            yield start, end


class _Layer:
    """A layer of the encoder: each row and its neighbours, weighed, cut off below zero, and evened out."""

    def __init__(self, layer: Any) -> None:
        weight: _Floats = layer.conv.weight.array  # filters x inputs x places
        self._filters, _, self._places = weight.shape
        self._weight = np.ascontiguousarray(weight.transpose(1, 2, 0).reshape(weight.shape[1], -1))
        self._bias, self._norm = layer.conv.bias.array, layer.norm

    def __call__(self, rows: _Floats) -> _Floats:
        return self._joined(_product(rows, self._weight))

    def of_words(self, words: _Floats, rows: _Ints) -> _Floats:
        """The same where `rows` are some of few `words`, which are weighed once each; -1 is a row of zeros."""
        weighed = _product(words, self._weight)
        return self._joined(np.vstack((weighed, np.zeros_like(weighed[:1])))[rows])

    def _joined(self, weighed: _Floats) -> _Floats:
        before, here, after = weighed.reshape(len(weighed), self._places, self._filters).transpose(1, 0, 2)
        joined = here + self._bias
        joined[1:] += before[:-1]
        joined[:-1] += after[1:]
        np.maximum(joined, 0, out=joined)
        norm = self._norm
        evened: _Floats = (joined - norm.mean.array) / norm.std.array * norm.weight.array + norm.bias.array
        return evened


def _batches(sizes: Sequence[int]) -> Iterator[list[int]]:
    """The texts that have tokens, shortest first, in groups of not too many tokens."""
    batch: list[int] = []
    for at in sorted((at for at, size in enumerate(sizes) if size), key=sizes.__getitem__):
        if batch and sum(sizes[other] for other in batch) + sizes[at] > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(at)
    if batch:
        yield batch


def _cleared(rows: _Floats, inside: NDArray[np.bool_]) -> _Floats:
    rows[~inside] = 0
    return rows


def _product(rows: _Floats, weight: _Floats) -> _Floats:
    padded = np.zeros((-(-len(rows) // _ROWS) * _ROWS, rows.shape[1]), np.float32)
    padded[: len(rows)] = rows
    products: _Floats = np.matmul(padded.reshape(-1, _ROWS, rows.shape[1]), weight)
    return products.reshape(len(padded), -1)[: len(rows)]
