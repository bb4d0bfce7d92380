"""Runs as the runner leaves them, small: answers with their truths, run.json, images, a leakage summary."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.evaluation.datasets.samples import SCHEMA, BenchmarkImageRef, BenchmarkSample
from tasks.pages.board import BoardInputs
from tests.tasks.evaluation.leakage.sides import encoded


def run(root: Path, model: str, benchmark: str, columns: dict[str, list[Any]], **record: Any) -> Path:
    """One run; its predictions."""
    folder = root / "runs" / model / benchmark
    folder.mkdir(parents=True)
    path = folder / "predictions.parquet"
    frame = pl.DataFrame(columns)
    frame.write_parquet(path)
    (folder / "run.json").write_text(json.dumps({"model": model, "benchmark": benchmark, "n": len(frame), **record}))
    return path


def questions(answers: list[str], truths: list[str], **more: list[Any]) -> dict[str, list[Any]]:
    """Columns of a run over yes-and-no questions about presence and comparison."""
    count = len(answers)
    return {
        "id": [f"q{number}" for number in range(count)],
        "question": [f"[hr_rgb_0.5] <image>\\n Is there a road number {number}?" for number in range(count)],
        "answer": answers,
        "annotation": truths,
        "vqa_type": ["presence" if number % 2 else "comp" for number in range(count)],
        **more,
    }


def truths(count: int = 40) -> list[str]:
    return ["yes" if number % 4 < 2 else "no" for number in range(count)]


def boxes(root: Path, model: str = "A") -> None:
    """Six questions for boxes with their images; four answers are near, one is far off, one is no box."""
    true = [[10 + 5 * n, 20, 40 + 5 * n, 60, 0] for n in range(6)]
    said = [[x1, y1, x2, y2 + 2, 0] for x1, y1, x2, y2, _ in true[:4]] + [[0, 0, 3, 3, 0]]
    run(
        root,
        model,
        "nwpu-vhr-10-refer",
        {
            "id": [f"q{n}" for n in range(6)],
            "question": ["[refer] [hr_rgb_0.5] <image> \\n Give me the location of <ref>1 ship</ref>"] * 6,
            "answer": [*(f"[{box}]" for box in said), "nowhere"],
            "gt_bbox": [f"[{box}]" for box in true],
            "size_group": ["small", "large"] * 3,
        },
    )
    pictures(root, "nwpu-vhr-10-refer", 6)


def pictures(root: Path, benchmark: str, count: int) -> None:
    """The imported samples of a benchmark, each with an image of its own."""
    rng = np.random.default_rng(0)
    rows = [
        BenchmarkSample(
            id=f"q{number}",
            images=(BenchmarkImageRef(data=encoded(rng.integers(0, 255, (3, 40, 40)).astype(np.uint8)), format="png"),),
            question="",
            references=("yes",),
            answer_type="text",
        ).row()
        for number in range(count)
    ]
    folder = root / "imported" / benchmark
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), folder / "samples.parquet")


def leakage(root: Path, training: str, benchmark: str, leaked: int, samples: int) -> None:
    """What `earthloom leakage` would have found: so many nearly same images."""
    none = {"n": 0, "share": 0.0}
    some = {"n": leaked, "share": leaked / samples}
    kinds = {"exact-image": none, "near-image": some, "text": none, "question": none, "place": none}
    folder = root / "leakage" / training / benchmark
    folder.mkdir(parents=True)
    summary = {
        "samples": samples,
        "leaked": {**kinds, "image": some, "any": some},
        "checked": {"places": 0},
        "unreadable_count": {"benchmark": 0, "training": 0},
    }
    (folder / "summary.json").write_text(json.dumps(summary))


def places(root: Path) -> BoardInputs:
    """Where all of it lies; no demo."""
    return BoardInputs(
        runs=root / "runs",
        leakage=root / "leakage",
        imported=root / "imported",
        demo=root / "no-demo",
        cache=root / "cache",
    )
