"""Measure redaction: what is masked of a public set of sentences, and how fast, beside stock Presidio.

Stock Presidio runs with the same model in two settings: as shipped (without ORGANIZATION, into which the small model
puts many names), and with every label kept; both at threshold 0, which is to its advantage in recall. Ours runs in two,
too: as shipped, and with everything masked that is recognised (`redaction.also`). Masking is judged by letters and
digits, whatever label they got: a span counts as masked when all of its are. The same is done on sentences of our own,
whose templates no rule was fitted to.

Speed is compared twice: with Presidio's own recognisers, which find other things, and with ours registered in its
engine, which must find the same. `effort` is the processor time of one process for texts of many kinds.
"""

import json
import os
import random
import statistics
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # As in the processes that the product starts.

import presidio_analyzer
import spacy
import tldextract
import yaml
from _machine import ROOT, about_this_run, model_folder, shared_folder, write_result
from presidio_analyzer import (
    AnalyzerEngine,
    BatchAnalyzerEngine,
    EntityRecognizer,
    RecognizerRegistry,
    RecognizerResult,
)
from presidio_analyzer.nlp_engine import NlpEngineProvider

sys.path.insert(0, str(ROOT))

from policies.personal_data import EntityType
from policies.redaction.candidates import Entity
from policies.redaction.engine import Redactor
from policies.redaction.isolated import IsolatedRedactor
from policies.redaction.options import RedactionOptions
from policies.redaction.scanner import Scanner
from policies.redaction.segments import segments
from tests.policies.redaction.effort_texts import HOSTILE, PROSE

CLAIMED = {
    "CREDIT_CARD",
    "EMAIL_ADDRESS",
    "IBAN_CODE",
    "IP_ADDRESS",
    "PERSON",
    "PHONE_NUMBER",
    "STREET_ADDRESS",
    "US_DRIVER_LICENSE",
    "US_SSN",
    "ZIP_CODE",
}
"""What our policy calls personal; countries, towns, organisations, dates, ages and titles as such are not."""

Find = Callable[[str], list[tuple[int, int]]]
REPEATS = 3
SAMPLE_CHARS = 150_000


def stock(model: Path, *, shipped: bool) -> Find:
    """Presidio's engine with the given model."""
    configuration = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": str(model)}]}
    if shipped:
        text = (Path(presidio_analyzer.__file__).parent / "conf" / "default.yaml").read_text()
        configuration = yaml.safe_load(text) | {"models": configuration["models"]}
    provider = NlpEngineProvider(nlp_configuration=configuration)
    engine = AnalyzerEngine(nlp_engine=provider.create_engine(), default_score_threshold=0)
    return lambda text: [(found.start, found.end) for found in engine.analyze(text, "en")]


def outcome(sentence: dict, found: Iterable[tuple[int, int]]) -> tuple[list[tuple[str, str]], int, int]:
    """Each gold span's type and whether it was masked (full, part, none); characters masked rightly and wrongly."""
    text = sentence["full_text"]
    masked, gold = [False] * len(text), [False] * len(text)
    for start, end in found:
        masked[start:end] = [True] * (end - start)
    rows = []
    for span in sentence["spans"]:
        places = range(span["start_position"], span["end_position"])
        gold[places.start : places.stop] = [True] * len(places)
        hits = [masked[at] for at in places if text[at].isalnum()]
        if hits:
            rows.append((span["entity_type"], "full" if all(hits) else "part" if any(hits) else "none"))
    wrong = Counter(gold[at] for at, letter in enumerate(text) if letter.isalnum() and masked[at])
    return rows, wrong[True], wrong[False]


def shares(outcomes: list[tuple[list[tuple[str, str]], int, int]], types: set[str] | None) -> dict[str, float]:
    rows = [how for spans, _, _ in outcomes for kind, how in spans if types is None or kind in types]
    right, wrong = sum(entry[1] for entry in outcomes), sum(entry[2] for entry in outcomes)
    return {
        "spans": len(rows),
        "fully_masked": rows.count("full") / max(1, len(rows)),
        "untouched": rows.count("none") / max(1, len(rows)),
        "precision": right / max(1, right + wrong),
    }


def intervals(sentences: list[dict], outcomes: list, types: set[str] | None) -> dict[str, list[float]]:
    """95 % intervals from 500 resamples of whole templates, since sentences of one template are alike."""
    by_template = defaultdict(list)
    for sentence, entry in zip(sentences, outcomes, strict=True):
        by_template[sentence["template_id"]].append(entry)
    source, groups = random.Random(1), list(by_template.values())
    drawn = [
        shares([entry for group in source.choices(groups, k=len(groups)) for entry in group], types) for _ in range(500)
    ]
    ordered = {name: sorted(one[name] for one in drawn) for name in ("fully_masked", "untouched", "precision")}
    return {name: [round(values[12], 3), round(values[487], 3)] for name, values in ordered.items()}


def quality(sentences: list[dict], finders: dict[str, Find], claimed: set[str]) -> dict:
    result: dict[str, dict] = {}
    for name, find in finders.items():
        outcomes = [outcome(sentence, find(sentence["full_text"])) for sentence in sentences]
        kinds = sorted({kind for spans, _, _ in outcomes for kind, _ in spans})
        result[name] = {
            "claimed types": shares(outcomes, claimed) | {"intervals": intervals(sentences, outcomes, claimed)},
            "all types": shares(outcomes, None) | {"intervals": intervals(sentences, outcomes, None)},
            "by type": {
                kind: {k: v for k, v in shares(outcomes, {kind}).items() if k != "precision"} for kind in kinds
            },
        }
    return result | {"worse": worse(result)}


def worse(result: dict) -> dict[str, list[str]]:
    """For each way of ours, the types of which stock Presidio, in either setting, masks more whole."""
    stocks = [figures["by type"] for name, figures in result.items() if "stock" in name]
    return {
        name: sorted(
            kind
            for kind, ours in figures["by type"].items()
            if any(ours["fully_masked"] < other[kind]["fully_masked"] for other in stocks)
        )
        for name, figures in result.items()
        if "stock" not in name
    }


def own_sentences(count: int) -> list[dict]:
    """Held-out sentences of the tests, in the form of the public ones."""
    sys.path.insert(0, str(ROOT))
    from tests.policies.redaction.generated_sentences import OTHER, PERSONAL, sentences  # noqa: PLC0415

    types = PERSONAL | OTHER
    return [
        {
            "full_text": each.text,
            "template_id": each.template,
            "spans": [
                {"entity_type": types[gold.kind], "start_position": gold.start, "end_position": gold.end}
                for gold in each.gold
            ],
        }
        for each in sentences("held out", count, 1)
    ]


def sample(handbook: Path) -> list[str]:
    """Paragraphs of random pages; stock Presidio is quickest on texts of this size."""
    pages = sorted(handbook.rglob("*.md"))
    random.Random(4).shuffle(pages)
    paragraphs: list[str] = []
    while sum(map(len, paragraphs)) < SAMPLE_CHARS:
        paragraphs += [part for part in pages.pop().read_text(encoding="utf-8").split("\n\n") if part.strip()]
    return paragraphs


def speed(texts: list[str], redactor: Redactor, stock_find: Find) -> dict:
    """Characters a second of processor time, in turns."""
    ways = {"ours": lambda: redactor.find_many(texts), "stock": lambda: [stock_find(text) for text in texts]}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, work in ways.items():
            began = time.process_time()
            work()
            rates[name].append(sum(map(len, texts)) / (time.process_time() - began))
    ratios = [ours / other for ours, other in zip(rates["ours"], rates["stock"], strict=True)]
    return {
        "chars": sum(map(len, texts)),
        "chars_per_s": {
            name: {"median": round(statistics.median(each)), "all": list(map(round, each))}
            for name, each in rates.items()
        },
        "ratio": {
            "median": round(statistics.median(ratios), 2),
            "range": [round(min(ratios), 2), round(max(ratios), 2)],
        },
    }


class OurRecognisers(EntityRecognizer):
    """All of our recognisers as one of Presidio's, which is asked about segments in order, and told of them before."""

    def __init__(self) -> None:
        super().__init__(["ANY"], name="ours")
        self.coming: deque = deque()

    def load(self) -> None: ...

    def analyze(self, text: str, entities: list[str], nlp_artifacts: Any) -> list[RecognizerResult]:
        del text, entities
        scanner, reading, russian = self.coming.popleft()
        said = [Entity(ent.start_char, ent.end_char, ent.label_) for ent in nlp_artifacts.tokens.ents]
        found = scanner.judge(reading, said, russian.get(reading.prose.text, []))
        return [RecognizerResult(span.type, span.start, span.end, span.score) for span in found]


def stock_with_ours(model: Path, redactor: Redactor) -> dict[str, Callable[[list[str]], list]]:
    """Presidio's engine with our recognisers and the same model, asked for each segment, and for batches of them."""
    labels = spacy.load(model).get_pipe("ner").labels
    configuration = {
        "nlp_engine_name": "spacy",
        "models": [{"lang_code": "en", "model_name": str(model)}],
        "ner_model_configuration": {"model_to_presidio_entity_mapping": {label: label for label in labels}},
    }
    ours = OurRecognisers()
    registry = RecognizerRegistry(recognizers=[ours], supported_languages=["en"])
    provider = NlpEngineProvider(nlp_configuration=configuration)
    engine = AnalyzerEngine(registry, provider.create_engine(), default_score_threshold=0)
    batches = BatchAnalyzerEngine(engine)
    recognition = redactor._loaded()  # noqa: SLF001 - the same recognisers, in another engine

    def spans(texts: list[str], ask: Callable[[list[str]], list]) -> list:
        proses, places = [], []
        for number, text in enumerate(texts):
            cuts = list(segments(text))
            readings = recognition.read_all(text[start:end] for start, end in cuts)
            russian = recognition.russian(readings)
            scanner = Scanner(recognition)
            ours.coming.extend((scanner, reading, russian) for reading in readings)
            proses += [reading.prose.text for reading in readings]
            places += [(number, start) for start, _ in cuts]
        found: list[set] = [set() for _ in texts]
        for (number, start), results in zip(places, ask(proses), strict=True):
            found[number] |= {(str(one.entity_type), start + one.start, start + one.end, one.score) for one in results}
        return found

    return {
        "stock, each segment": lambda texts: spans(texts, lambda some: [engine.analyze(one, "en") for one in some]),
        "stock, batches of 256": lambda texts: spans(
            texts, lambda some: batches.analyze_iterator(some, "en", batch_size=256)
        ),
    }


def same_recognisers(texts: list[str], redactor: Redactor, model: Path) -> dict:
    """Our engine against Presidio's with our recognisers: (type, start, end, score) must be the same."""
    found = {}

    def ours() -> None:
        spans = redactor.find_many(texts)
        found["ours"] = [{(str(one.type), one.start, one.end, one.score) for one in some} for some in spans]

    def stock_way(name: str, ask: Callable[[list[str]], list]) -> Callable[[], None]:
        return lambda: found.update({name: ask(texts)})

    ways = {"ours": ours} | {name: stock_way(name, ask) for name, ask in stock_with_ours(model, redactor).items()}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(REPEATS):
        for name, work in ways.items():
            began = time.process_time()
            work()
            rates[name].append(sum(map(len, texts)) / (time.process_time() - began))
    result: dict = {"chars": sum(map(len, texts)), "spans": sum(map(len, found["ours"]))}
    for name in ways:
        ratios = [a / b for a, b in zip(rates["ours"], rates[name], strict=True)]
        result[name] = {
            "chars_per_s": round(statistics.median(rates[name])),
            "texts_that_differ": sum(a != b for a, b in zip(found[name], found["ours"], strict=True)),
            "ours_is_faster": [round(statistics.median(ratios), 2), round(min(ratios), 2), round(max(ratios), 2)],
        }
    return result


def effort(redactor: IsolatedRedactor) -> dict:
    """Seconds of processor time that 65,536 characters of each kind take in a process, the best of three."""

    def used() -> float:
        return time.clock_gettime(~redactor._idle[0].pid << 3 | 2)  # noqa: SLF001 - its own clock, as Linux keeps it

    def seconds(text: str) -> float:
        began = used()
        redactor.find(text)
        return used() - began

    def best(kinds: dict) -> dict[str, float]:
        each = {kind: round(min(seconds(text(65_536)) for _ in range(REPEATS)), 3) for kind, text in kinds.items()}
        return dict(sorted(each.items(), key=lambda item: -item[1]))

    prose, hostile = best(PROSE), best(HOSTILE)
    return {"prose": prose, "slowest_prose": max(prose.values()), "slowest_hostile": max(hostile.values())} | {
        "hostile": {kind: took for kind, took in hostile.items() if took > 0.1}
    }


def question(redactor: Redactor, isolated: IsolatedRedactor) -> dict:
    """What it takes, by the clock, to look through a question: in this process, and in one of their own."""
    asked = "How many days of holiday does Alan Turing have left, and whom do I ask in the London office?"
    ways: dict[str, Callable] = {"here": redactor.find, "in a process": isolated.find}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(300):
        for name, find in ways.items():
            began = time.perf_counter()
            find(f"{asked} {number}")
            took[name].append((time.perf_counter() - began) * 1000)
    medians = {name: round(statistics.median(each), 2) for name, each in took.items()}
    return {"p50_ms": medians, "p50_added_ms": round(medians["in a process"] - medians["here"], 2)}


def whole_handbook(handbook: Path, redactor: Redactor) -> dict:
    """All pages as ingestion reads them: seconds of processor time and spans by type."""
    texts = [page.read_text(encoding="utf-8") for page in sorted(handbook.rglob("*.md"))]
    found: Counter[str] = Counter()
    began = time.process_time()
    for at in range(0, len(texts), 32):
        for spans in redactor.find_many(texts[at : at + 32]):
            found.update(span.type.value for span in spans)
    seconds = time.process_time() - began
    chars = sum(map(len, texts))
    return {"chars": chars, "cpu_s": round(seconds, 1), "chars_per_s": round(chars / seconds), "spans": dict(found)}


def main() -> None:
    shared, model = shared_folder(), model_folder("en-core-web-sm-3.8.0")
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    redactor = Redactor(model)
    redactor.load()
    result = about_this_run(["presidio-analyzer", "spacy", "phonenumbers"])
    kept = stock(model, shipped=False)
    finders: dict[str, Find] = {
        "ours": lambda text: [(span.start, span.end) for span in redactor.find(text)],
        "ours, everything recognised": lambda text: [(span.start, span.end) for span in redactor.recognise([text])[0]],
        "stock, shipped": stock(model, shipped=True),
        "stock, all labels": kept,
    }
    sentences = json.loads((shared / "corpora" / "pii-dev.json").read_text(encoding="utf-8"))
    result["quality"] = quality(sentences, finders, CLAIMED)
    result["own sentences, held out"] = quality(own_sentences(REPEATS), finders, {kind.value for kind in EntityType})
    handbook = shared / "corpora" / "handbook"
    result["speed"] = speed(sample(handbook), redactor, kept)
    result["same_recognisers"] = {
        "handbook": same_recognisers(sample(handbook), redactor, model),
        "sentences with personal data": same_recognisers(
            [sentence["full_text"] for sentence in sentences], redactor, model
        ),
    }
    isolated = IsolatedRedactor(model, model_folder("natasha-1.6.0"), RedactionOptions(workers=1))
    isolated.load()
    result["effort_s"] = effort(isolated)
    result["question"] = question(redactor, isolated)
    isolated.close()
    result["handbook"] = whole_handbook(handbook, redactor)
    for sentences_of in ("quality", "own sentences, held out"):
        for name in finders:
            for types in ("claimed types", "all types"):
                figures = result[sentences_of][name][types]
                shown = " ".join(f"{what} {figures[what]:.3f}" for what in ("fully_masked", "untouched", "precision"))
                print(f"{sentences_of:24} {name:28} {types:14} {shown}")
        print(f"{sentences_of:24} worse than stock: {result[sentences_of]['worse']}")
    print(f"speed: {result['speed']['chars_per_s']} ratio {result['speed']['ratio']}")
    print(f"same recognisers: {result['same_recognisers']}")
    print(f"effort: prose {result['effort_s']['slowest_prose']} s, hostile {result['effort_s']['slowest_hostile']} s")
    print(f"question: {result['question']}")
    print(f"handbook: {result['handbook']}")
    write_result("redaction", result)


if __name__ == "__main__":
    main()
