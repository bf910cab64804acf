"""Measure search in a real installation: ours beside Faiss with a selector, as `bench_search.py` does it.

The index, the access filters and the embedder are the installation's own; the questions are those of the handbook, so
its home is one into which the handbook was synced (`docs/quality.md`). Figures are given by user, widest first.

    python benchmarks/bench_search_home.py --home FOLDER
"""

import argparse
import json
import os
import sys
from itertools import islice

from _machine import about_this_run, shared_folder, write_result
from bench_search import QUESTIONS, by_person

from gateway.services import services_of
from policies.context import RequestContext
from retrieval.terms import terms


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home")
    parser.add_argument("--hnsw-minutes", type=float, default=10)
    options = parser.parse_args()
    if not options.home:
        print("Skipped: name an installation with --home.")
        sys.exit(0)
    lines = (shared_folder() / "corpora" / "dev-qa.jsonl").read_text(encoding="utf-8").splitlines()
    questions = [json.loads(line)["question"] for line in islice(lines, QUESTIONS)]
    result = about_this_run(["faiss-cpu", "numpy"])
    with services_of(options.home) as services:
        services.index.merge()
        (layer,) = services.index.layers
        asked = [(services.embedder.embed_query(question), terms(question)) for question in questions]
        filters = [
            services.retriever.access(services.users.principal(user.id), RequestContext())
            for user in services.users.listed()
        ]
        people = {access.principal.id: set(access.label_ids) for access in filters}
        result |= {"passages": len(layer), "labels": len(set().union(*people.values()))}
        result["people"] = by_person(layer.segment, asked, people, options.hnsw_minutes)
    result["load_after"] = os.getloadavg()
    write_result("search_home", result)


if __name__ == "__main__":
    main()
