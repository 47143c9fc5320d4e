"""Quality of search over a judged corpus: each leg alone, the fusion, and peers over the same chunks.

    python -m tests.benchmarks.retrieval --tenant demo --url http://localhost:8000 --out retrieval.json

Ingest the corpus first. The fused list is taken from the API and must equal the one computed from the legs here;
otherwise nothing is reported.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks import instance, ranking
from tests.benchmarks.figures import Interval, paired_difference
from tests.benchmarks.http_client import SearchClient
from tests.benchmarks.questions import HALVES, Question, gold_rank, load_questions, page_of

from apps.core.tenancy import TenantRef, in_tenant  # isort: skip  # instance sets Django up

CUT = 5
MRR_CUT = 10
API_DEPTH = 10
LEGS = ("full text", "vector", "fused")
PEERS = (
    "Django full text, all words",
    "PostgreSQL ts_rank_cd, any word",
    "SQLite FTS5 BM25, any word",
    "pgvector exact",
)
API_KEYS = 2

Ranks = dict[str, list[int | None]]


class ListsDiffer(RuntimeError):
    """The API ranks otherwise than the legs and the fusion measured here."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    questions = [question for question in load_questions() if options.half in {question.half, "both"}]
    ref = instance.measured_tenant(options.tenant)
    report = instance.describe(ref)
    ranks = measure(ref, questions, url=options.url)
    report["questions"] = [
        asdict(question) | {"gold": sorted(question.gold), "ranks": {name: found[at] for name, found in ranks.items()}}
        for at, question in enumerate(questions)
    ]
    halves = (*HALVES, "both") if options.half == "both" else (options.half,)
    report["results"] = {half: summarise(questions, ranks, half=half) for half in halves}
    if options.out:
        instance.write_report(options.out, report)
    show(report, Console(width=130))
    return 0


def measure(ref: TenantRef, questions: Sequence[Question], *, url: str) -> Ranks:
    """The rank of the first right page for each question, by each way of searching. Raises ListsDiffer."""
    ranks: Ranks = {name: [] for name in (*LEGS, *PEERS)}
    with instance.api_keys(ref, API_KEYS) as keys, in_tenant(ref):
        client = SearchClient(url, keys)
        pages, bm25 = ranking.Pages(), ranking.Bm25()
        for question in questions:
            lists = _lists(question.text, pages, bm25)
            answer = client.search(question.text, limit=API_DEPTH)
            shown = [page_of(result["source_uri"]) for result in answer["results"]]
            if shown != lists["fused"][:API_DEPTH]:
                raise ListsDiffer(f"{question.text!r}: the API shows {shown}, here it is {lists['fused'][:API_DEPTH]}")
            for name, found in lists.items():
                ranks[name].append(gold_rank(found, question))
        client.close()
    return ranks


def _lists(text: str, pages: ranking.Pages, bm25: ranking.Bm25) -> dict[str, list[str]]:
    legs = ranking.legs_of(text)
    found = {
        "full text": ranking.leg_blobs(legs.text),
        "vector": ranking.leg_blobs(legs.vector),
        "fused": ranking.fused_blobs(legs),
        PEERS[0]: ranking.django_full_text_blobs(text),
        PEERS[1]: ranking.any_word_full_text_blobs(text),
        PEERS[2]: bm25.blobs(text),
        PEERS[3]: ranking.exact_vector_blobs(text),
    }
    return {name: pages.ranked(blobs) for name, blobs in found.items()}


def recall(ranks: Sequence[int | None]) -> list[float]:
    """Per question: 1 when a right page is among the first CUT."""
    return [1.0 if rank is not None and rank <= CUT else 0.0 for rank in ranks]


def reciprocal(ranks: Sequence[int | None]) -> list[float]:
    """Per question: 1 / rank of the first right page among the first MRR_CUT, else 0."""
    return [1.0 / rank if rank is not None and rank <= MRR_CUT else 0.0 for rank in ranks]


def summarise(questions: Sequence[Question], ranks: Ranks, *, half: str) -> dict[str, Any]:
    """Means of one half and how the fusion differs from everything else."""
    chosen = [at for at, question in enumerate(questions) if half in {question.half, "both"}]
    of_half = {name: [found[at] for at in chosen] for name, found in ranks.items()}
    fused = of_half["fused"]
    return {
        "questions": len(chosen),
        "methods": {
            name: {
                f"recall@{CUT}": _mean(recall(found)),
                f"mrr@{MRR_CUT}": _mean(reciprocal(found)),
                f"fused_minus_recall@{CUT}": paired_difference(recall(fused), recall(found)),
                f"fused_minus_mrr@{MRR_CUT}": paired_difference(reciprocal(fused), reciprocal(found)),
            }
            for name, found in of_half.items()
        },
        "by_kind": {
            kind: {
                name: _mean(recall([found[at] for at in chosen if questions[at].kind == kind]))
                for name, found in ranks.items()
            }
            for kind in sorted({questions[at].kind for at in chosen})
        },
    }


def show(report: dict[str, Any], console: Console) -> None:
    """The tables of a report."""
    corpus = report["corpus"]
    console.print(
        f"{corpus['documents']} documents, {corpus['chunks']} chunks; vectors: {report['vector_index']['backend']}"
    )
    for half, summary in report["results"].items():
        table = Table(title=f"{half}: {summary['questions']} questions")
        for heading in ("", f"recall@{CUT}", f"MRR@{MRR_CUT}", f"fused minus it, recall@{CUT}", "fused minus it, MRR"):
            table.add_column(heading)
        for name, figures in summary["methods"].items():
            other = name != "fused"
            table.add_row(
                name,
                f"{figures[f'recall@{CUT}']:.3f}",
                f"{figures[f'mrr@{MRR_CUT}']:.3f}",
                _difference(figures[f"fused_minus_recall@{CUT}"]) if other else "",
                _difference(figures[f"fused_minus_mrr@{MRR_CUT}"]) if other else "",
            )
        console.print(table)


def _difference(interval: Interval) -> str:
    return f"{interval} {interval.settled}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.retrieval", description=__doc__)
    parser.add_argument("--tenant", default="demo", help="The tenant that holds the corpus (default: demo).")
    parser.add_argument("--url", default="http://localhost:8000", help="Where the tenant answers.")
    parser.add_argument("--half", choices=(*HALVES, "both"), default="both", help="Tune on dev alone.")
    parser.add_argument("--out", type=Path, help="Write everything as JSON to this file.")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
