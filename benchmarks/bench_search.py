"""Measure search at scale: our index beside Faiss with a selector, for people who may read much or little.

The corpus is synthetic: 384 dimensions around 2,000 centres that labels share unequally, documents of ten passages, 500
labels whose sizes fall as 1/rank, words whose frequencies fall as 1/(rank + 10). Four people may read
about 100, 10, 1 and 0.1 % of it. Their vector search is compared, question by question and in turns, with

* `IndexFlatIP` and an `IDSelectorBitmap`, which is exact, and
* `IndexHNSWFlat` and the same selector, with the smallest `efSearch` that reaches a recall of 0.995 among the ten best.

Both are asked for ten passages; ours finds the best fifty, measured again in double precision. The whole search adds
keywords and fusion. Opening and memory are measured in a process of their own.

    python benchmarks/bench_search.py [--sizes 100000,1000000] [--hnsw-minutes 10]
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from _machine import ROOT, about_this_run, write_result

from retrieval.building import Entry, merge, segment_of
from retrieval.codes import encode
from retrieval.labels import CorpusState
from retrieval.layers import Layer, whole
from retrieval.ranking import CANDIDATES, let_go, nearest, rank
from retrieval.segment_files import IndexFiles
from retrieval.segments import Segment, Shape, segment_over, size_bytes
from retrieval.vectors import scan
from retrieval.views import view_of

DIMENSIONS = 384
CENTRES = 2_000
LABELS = 500
PER_DOCUMENT = 10
VOCABULARY = 200_000
WORDS = 60
SHARES = {"100 %": 1.0, "10 %": 0.1, "1 %": 0.01, "0.1 %": 0.001}
QUESTIONS = 25
REPEATS = 3
WANTED_RECALL = 0.995
KEY = b"b" * 32
STATE = CorpusState(1, "bench")
EMBEDDER = "bench"
Find = Callable[[np.ndarray], Sequence[int]]
Runs = dict[str, list[list[tuple[float, float]]]]


def corpus(passages: int, files: IndexFiles) -> Segment:
    """A segment in its file, with all that the docstring above says."""
    chance = np.random.default_rng(passages)
    documents = passages // PER_DOCUMENT
    weights = 1 / np.arange(1, LABELS + 1)
    label_of = chance.permutation(LABELS)[chance.choice(LABELS, documents, p=weights / weights.sum())]
    by_label = np.argsort(label_of, kind="stable")
    rows_of, counts = words(chance, passages)
    terms = [f"w{number:06}".encode() for number in range(VOCABULARY)]
    sizes = np.bincount(rows_of // passages, minlength=VOCABULARY)
    terms = [term for term, size in zip(terms, sizes, strict=True) if size]
    present, firsts = np.unique(label_of[by_label], return_index=True)
    shape = Shape(passages, DIMENSIONS, len(present), documents, 25, len(terms), sum(map(len, terms)), len(rows_of))
    with files.new_segment() as new:
        segment = segment_over(shape, new.allocate(size_bytes(shape)))
        fill_vectors(chance, segment.vectors, np.repeat(label_of[by_label], PER_DOCUMENT))
        segment.codes[:], segment.rough[:] = encode(segment.vectors)
        segment.passage_ids[:] = np.arange(passages)
        segment.documents[:] = np.repeat(by_label, PER_DOCUMENT)
        segment.ordinals[:] = np.tile(np.arange(PER_DOCUMENT), documents)
        segment.lengths[:] = WORDS
        segment.label_ids[:] = present + 1
        segment.label_starts[:] = [*(firsts * PER_DOCUMENT), passages]
        segment.document_ids[:] = [f"d{number:024}".encode() for number in range(documents)]
        segment.document_starts[:] = np.arange(documents + 1) * PER_DOCUMENT
        segment.document_rows[:] = np.argsort(segment.documents, kind="stable")
        segment.term_starts[:] = np.cumsum([0, *map(len, terms)])
        segment.term_blob[:] = np.frombuffer(b"".join(terms), dtype=np.uint8)
        segment.posting_starts[:] = np.cumsum([0, *sizes[sizes > 0]])
        segment.posting_rows[:] = rows_of % passages
        segment.posting_counts[:] = counts
        segment = files.finish(new, shape)
    files.write(STATE, EMBEDDER, DIMENSIONS, [whole(segment)])
    return segment


def words(chance: np.random.Generator, passages: int) -> tuple[np.ndarray, np.ndarray]:
    """By term and row: term * passages + row, ascending, and how often the term stands there."""
    chances = np.cumsum(1 / (np.arange(VOCABULARY) + 10))
    keys = np.empty((passages, WORDS), dtype=np.int64)
    for start in range(0, passages, 50_000):
        drawn = chance.random((min(50_000, passages - start), WORDS)) * chances[-1]
        rows = np.arange(start, start + len(drawn))[:, None]
        keys[start : start + len(drawn)] = np.searchsorted(chances, drawn) * passages + rows
    flat = keys.ravel()
    flat.sort()
    firsts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    return flat[firsts], np.diff([*firsts, len(flat)]).astype(np.uint16)


def fill_vectors(chance: np.random.Generator, out: np.ndarray, labels: np.ndarray) -> None:
    """Around centres; each label likes forty of them."""
    centres = chance.normal(size=(CENTRES, DIMENSIONS)).astype(np.float32)
    liked = chance.integers(0, CENTRES, size=(LABELS, 40))
    for start in range(0, len(out), 50_000):
        some = labels[start : start + 50_000]
        likes = liked[some, chance.integers(0, 40, size=len(some))]
        chosen = np.where(chance.random(len(some)) < 0.7, likes, chance.integers(0, CENTRES, size=len(some)))
        rows = centres[chosen] + 0.8 * chance.normal(size=(len(some), DIMENSIONS)).astype(np.float32)
        out[start : start + len(some)] = rows / np.linalg.norm(rows, axis=1, keepdims=True)


def people(segment: Segment) -> dict[str, set[int]]:
    """Labels drawn at random until they hold the share."""
    chance = np.random.default_rng(7)
    sizes = np.diff(segment.label_starts)
    chosen: dict[str, set[int]] = {}
    for name, share in SHARES.items():
        labels, room = set(), share * len(segment) * 1.02
        for place in chance.permutation(len(sizes)):
            if sizes[place] <= room:
                labels.add(int(segment.label_ids[place]))
                room -= sizes[place]
        chosen[name] = labels
    return chosen


def questions(segment: Segment) -> list[tuple[np.ndarray, list[str]]]:
    """Each near a passage, with a rare, a middling and a frequent word and three of anywhere."""
    chance = np.random.default_rng(11)
    found = []
    for row in chance.integers(0, len(segment), size=QUESTIONS):
        vector = segment.vectors[row] + 0.5 / DIMENSIONS**0.5 * chance.normal(size=DIMENSIONS)
        numbers = [chance.integers(0, 50), chance.integers(50, 2_000), *chance.integers(2_000, VOCABULARY // 4, size=4)]
        found.append(((vector / np.linalg.norm(vector)).astype(np.float32), [f"w{n:06}" for n in numbers]))
    return found


def allowed_rows(segment: Segment, labels: set[int]) -> np.ndarray:
    view = view_of(whole(segment), labels)
    return view.rows(np.arange(len(view)))


def exact_ten(segment: Segment, rows: np.ndarray, vector: np.ndarray) -> set[int]:
    """In double precision throughout."""
    scores = np.concatenate(
        [segment.vectors[rows[at : at + 50_000]].astype(np.float64) @ vector for at in range(0, len(rows), 50_000)]
    )
    return set(rows[np.argsort(-scores, kind="stable")[:10]].tolist())


def ours_by_vector(layer: Layer, labels: set[int]) -> Find:
    def find(vector: np.ndarray) -> Sequence[int]:
        view = view_of(layer, labels)
        positions, scores = nearest(view, None, vector, CANDIDATES)
        let_go(layer)
        return view.rows(positions[np.argsort(-scores, kind="stable")[:CANDIDATES]]).tolist()

    return find


def theirs(index: Any, rows: np.ndarray, passages: int, effort: int | None = None) -> Find:
    allowed = np.zeros(passages, dtype=bool)
    allowed[rows] = True
    bits = np.packbits(allowed, bitorder="little")
    selector = faiss.IDSelectorBitmap(passages, faiss.swig_ptr(bits))
    if effort is None:
        parameters = faiss.SearchParameters(sel=selector)
    else:
        parameters = faiss.SearchParametersHNSW(sel=selector, efSearch=effort)

    def find(vector: np.ndarray) -> Sequence[int]:
        _ = bits  # The selector only points at it.
        return index.search(vector[None], 10, params=parameters)[1][0].tolist()

    return find


def recall(find: Find, asked: Sequence[np.ndarray], right: Sequence[set[int]]) -> float:
    return statistics.fmean(
        len(best & set(find(vector)[:10])) / len(best) for vector, best in zip(asked, right, strict=True)
    )


def in_turns(ways: dict[str, Callable[[int], object]]) -> Runs:
    """What each way took by repetition and question; all ways answer a question before the next one comes.

    Passed time and processor time of all threads, in milliseconds. On a busy machine the first says more of the others.
    """
    took: Runs = {name: [] for name in ways}
    for _ in range(REPEATS):
        for each in took.values():
            each.append([])
        for number in range(QUESTIONS):
            for name, answer in ways.items():
                started, worked = time.perf_counter(), time.process_time()
                answer(number)
                took[name][-1].append(((time.perf_counter() - started) * 1000, (time.process_time() - worked) * 1000))
    return took


def percentiles(runs: list[list[tuple[float, float]]]) -> dict[str, Any]:
    def figure(percent: float, which: int = 0) -> dict[str, float]:
        of_runs = [float(np.percentile([took[which] for took in run], percent)) for run in runs]
        return {
            "median": round(statistics.median(of_runs), 3),
            "min": round(min(of_runs), 3),
            "max": round(max(of_runs), 3),
        }

    return {"p50_ms": figure(50), "p95_ms": figure(95), "processor_p50_ms": figure(50, 1)}


def ratio(ours: list[list[tuple[float, float]]], other: list[list[tuple[float, float]]]) -> dict[str, Any]:
    """Of the percentiles, run by run."""

    def of(percent: float, which: int) -> dict[str, float]:
        above, below = (
            [float(np.percentile([took[which] for took in run], percent)) for run in runs] for runs in (ours, other)
        )
        return middle([a / b for a, b in zip(above, below, strict=True)])

    return {"p95": of(95, 0), "p50": of(50, 0), "processor_p50": of(50, 1)}


def middle(ratios: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(ratios), 3), "min": round(min(ratios), 3), "max": round(max(ratios), 3)}


def graph(segment: Segment, minutes: float) -> tuple[Any, dict[str, Any]]:
    """An HNSW index, unless it would take longer than there is time."""
    index = faiss.IndexHNSWFlat(DIMENSIONS, 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 40
    started, step = time.perf_counter(), 50_000
    for at in range(0, len(segment), step):
        index.add(np.ascontiguousarray(segment.vectors[at : at + step]))
        if time.perf_counter() - started > minutes * 60:
            return None, {"built": False, "added": at + step, "seconds": round(time.perf_counter() - started)}
    return index, {"built": True, "seconds": round(time.perf_counter() - started)}


def effort_for(
    index: Any, rows: np.ndarray, passages: int, asked: list[np.ndarray], right: list[set[int]]
) -> tuple[int, float]:
    """The smallest power of two of `efSearch` that reaches the recall wanted, or the largest tried."""
    reached, effort = 0.0, 16
    while reached < WANTED_RECALL and effort < 16_384:
        effort *= 2
        reached = recall(theirs(index, rows, passages, effort), asked, right)
    return effort, reached


def by_person(
    segment: Segment, asked: list[tuple[np.ndarray, list[str]]], readers: dict[str, set[int]], minutes: float
) -> dict[str, Any]:
    """By reader, named with their labels: recall and times of ours and of the comparators."""
    layer = whole(segment)
    flat = faiss.IndexFlatIP(DIMENSIONS)
    for at in range(0, len(segment), 50_000):
        flat.add(np.ascontiguousarray(segment.vectors[at : at + 50_000]))
    hnsw, built = graph(segment, minutes)
    print("hnsw", built, flush=True)
    result: dict[str, Any] = {"hnsw": built}
    for name, labels in readers.items():
        rows = allowed_rows(segment, labels)
        vectors = [vector for vector, _ in asked]
        right = [exact_ten(segment, rows, vector) for vector in vectors]
        finds = {"ours, vectors": ours_by_vector(layer, labels), "flat": theirs(flat, rows, len(segment))}
        recalls = {which: round(recall(find, vectors, right), 4) for which, find in finds.items()}
        person: dict[str, Any] = {"passages": len(rows), "labels": len(labels)}
        if hnsw is not None:
            effort, reached = effort_for(hnsw, rows, len(segment), vectors, right)
            finds["hnsw"] = theirs(hnsw, rows, len(segment), effort)
            recalls["hnsw"] = round(reached, 4)
            person["hnsw_ef_search"] = effort
        ways: dict[str, Callable[[int], object]] = {
            which: (lambda number, find=find, vectors=vectors: find(vectors[number])) for which, find in finds.items()
        }
        ways["ours, whole search"] = lambda number, labels=labels: rank(
            [layer], asked[number][1], asked[number][0], labels
        )
        took = in_turns(ways)
        person |= {
            "recall_at_10": recalls,
            "took": {which: percentiles(runs) for which, runs in took.items()},
            "of_flat": ratio(took["ours, vectors"], took["flat"]),
        }
        if hnsw is not None:
            person["of_hnsw"] = ratio(took["ours, vectors"], took["hnsw"])
        result[name] = person
        print(name, json.dumps(person), flush=True)
    return result


def kernels(segment: Segment) -> dict[str, Any]:
    """Ways to scan all mapped rows: ours, a matrix product through BLAS, and `faiss.knn`."""
    asked = [vector for vector, _ in questions(segment)]
    out = np.empty(len(segment), dtype=np.float32)
    took = in_turns(
        {
            "ours": lambda number: scan(segment.vectors, [(0, len(segment), 0)], asked[number], out),
            "numpy.dot": lambda number: np.dot(segment.vectors, asked[number], out=out),
            "faiss.knn": lambda number: faiss.knn(
                asked[number][None], segment.vectors, CANDIDATES, metric=faiss.METRIC_INNER_PRODUCT
            ),
        }
    )
    return {which: percentiles(runs) for which, runs in took.items()}


def new_entries(count: int, seed: int) -> Iterator[Entry]:
    chance = np.random.default_rng(seed)
    chances = np.cumsum(1 / (np.arange(VOCABULARY) + 10))
    for number in range(count):
        numbers, counts = np.unique(np.searchsorted(chances, chance.random(WORDS) * chances[-1]), return_counts=True)
        row = chance.normal(size=DIMENSIONS).astype(np.float32)
        stands = dict(zip([f"w{n:06}" for n in numbers], counts.tolist(), strict=True))
        document, ordinal = divmod(number, PER_DOCUMENT)
        vector = (row / np.linalg.norm(row)).tobytes()
        yield Entry(10**9 + number, f"e{document:024}", ordinal, 1 + document % LABELS, stands, vector)


def changes(segment: Segment, files: IndexFiles) -> dict[str, Any]:
    """Take out one passage in a hundred, add as many, search, and merge all into a new file."""
    layer, count = whole(segment), len(segment) // 100
    entries = list(new_entries(count, 3))
    gone = [f"d{number:024}" for number in range(0, len(segment) // PER_DOCUMENT, 100)]
    deleting, adding, merging = [], [], []
    for _ in range(REPEATS):
        started = time.perf_counter()
        left = layer.without_documents(gone)
        deleting.append(time.perf_counter() - started)
        started = time.perf_counter()
        tail = whole(segment_of(entries, DIMENSIONS))
        adding.append(time.perf_counter() - started)
        started = time.perf_counter()
        with files.new_segment() as new:
            merged = merge([left, tail], DIMENSIONS, new.allocate).segment
            merging.append(time.perf_counter() - started)
            if len(merged) != len(left) + len(tail):
                message = "the merge lost passages"
                raise RuntimeError(message)
    return {
        "passages": count,
        "delete_s": seconds(deleting),
        "add_s": seconds(adding),
        "merge_s": seconds(merging),
    }


def build(passages: int) -> dict[str, Any]:
    """All passages from entries, as a rebuild makes them, without the time to read rows and find words."""
    took = 0.0
    layers = []
    for at in range(0, passages, 20_000):
        entries = list(new_entries(min(20_000, passages - at), at))
        started = time.perf_counter()
        layers.append(whole(segment_of(entries, DIMENSIONS)))
        took += time.perf_counter() - started
    started = time.perf_counter()
    merge(layers, DIMENSIONS)
    return {"passages": passages, "seconds": round(took + time.perf_counter() - started, 2)}


def seconds(values: list[float]) -> dict[str, float]:
    rounded = [round(value, 4) for value in (statistics.median(values), min(values), max(values))]
    return dict(zip(("median", "min", "max"), rounded, strict=True))


def memory_bytes() -> int:
    """All memory of this process that is in use, mapped files included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def open_and_search(folder: Path) -> None:
    """In a process of its own: opening, then every passage touched by searches."""
    before = memory_bytes()
    started = time.perf_counter()
    found = IndexFiles(folder, KEY).read({STATE}, EMBEDDER, DIMENSIONS)
    opened = time.perf_counter() - started
    if found is None:
        message = f"{folder} was refused"
        raise RuntimeError(message)
    layers = found[1]
    [layer] = layers
    for vector, terms in questions(layer.segment)[:5]:
        rank(layers, terms, vector, set(layer.segment.label_ids.tolist()))
    used = memory_bytes() - before
    print(json.dumps({"opened_s": opened, "bytes_per_passage": used / len(layer), "process_bytes": memory_bytes()}))


def opening(folder: Path) -> dict[str, Any]:
    runs: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
    for _ in range(REPEATS):
        for kind, of_kind in runs.items():
            for path in folder.glob("*.segment") if kind == "cold" else ():
                descriptor = os.open(path, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
            command = [sys.executable, __file__, "--open", str(folder)]
            of_kind.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))  # noqa: S603
    return {
        "cold_s": seconds([run["opened_s"] for run in runs["cold"]]),
        "warm_s": seconds([run["opened_s"] for run in runs["warm"]]),
        "bytes_per_passage": seconds([run["bytes_per_passage"] for run in runs["warm"]]),
        "process_bytes": seconds([run["process_bytes"] for run in runs["warm"]]),
    }


def measured(passages: int, minutes: float) -> dict[str, Any]:
    # Beside the repository and not in a temporary folder, which may be memory.
    folder = Path(tempfile.mkdtemp(dir=ROOT, prefix=".bench-search-"))
    try:
        files = IndexFiles(folder, KEY)
        segment = corpus(passages, files)
        print(f"{passages} passages, {files.size_bytes() / passages:.0f} bytes each on disk", flush=True)
        result: dict[str, Any] = {"file_bytes_per_passage": round(files.size_bytes() / passages)}
        result["opening"] = opening(folder)
        print(json.dumps(result["opening"]), flush=True)
        result["changes"] = changes(segment, files)
        print(json.dumps(result["changes"]), flush=True)
        result["scan"] = kernels(segment)
        print(json.dumps(result["scan"]), flush=True)
        return result | by_person(segment, questions(segment), people(segment), minutes)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="100000,1000000")
    parser.add_argument("--hnsw-minutes", type=float, default=10)
    parser.add_argument("--open", type=Path)
    options = parser.parse_args()
    if options.open:
        open_and_search(options.open)
        return
    result = about_this_run(["faiss-cpu", "numpy"])
    result["load_before"] = os.getloadavg()
    result["build"] = build(100_000)
    sizes = [int(size) for size in options.sizes.split(",")]
    result["sizes"] = {str(size): measured(size, options.hnsw_minutes) for size in sizes}
    if len(sizes) > 1:
        small, large = (result["sizes"][str(size)]["1 %"]["took"] for size in (sizes[0], sizes[-1]))
        result["growth_1_percent"] = {
            which: round(large[which]["p50_ms"]["median"] / small[which]["p50_ms"]["median"], 2)
            for which in ("ours, vectors", "ours, whole search")
        }
    result["load_after"] = os.getloadavg()
    write_result("search", result)


if __name__ == "__main__":
    main()
