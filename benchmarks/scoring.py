"""How fast answers are scored: `python -m benchmarks.scoring`.

A million questions and a hundred thousand boxes, from the file on disk to the whole honest table with intervals and
controls, on one thread. Beside each, the usual way on a part of the same rows: EarthDial's loop, which tokenises
every answer, and an IoU matrix with an assignment for every image.
"""

import itertools
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["POLARS_MAX_THREADS"] = "1"

import numpy as np
from nltk.tokenize import NLTKWordTokenizer
from scipy.optimize import linear_sum_assignment

from tasks.dialogue import boxes as core
from tasks.evaluation.metrics import legacy
from tasks.evaluation.metrics.detection import THRESHOLDS, both, scored
from tasks.evaluation.metrics.predictions import read
from tasks.evaluation.metrics.score import ScoringSettings, score_file
from tasks.evaluation.names import Protocol, Task

PROTOCOLS: tuple[Protocol, ...] = ("honest", "legacy")
QUESTIONS = 1_000_000
BOXES = 100_000
PER_IMAGE = 10
PART = 20
"""The usual way does one row of this many; its time is multiplied."""
TYPES = {"presence": ["yes", "no"], "comp": ["yes", "no"], "rural_urban": ["rural", "urban"], "count": None}


def questions(path: Path, rng: np.random.Generator) -> None:
    kinds = rng.choice(list(TYPES), QUESTIONS)
    counts = rng.integers(0, 2000, (QUESTIONS, 2)).astype(str)
    marks = rng.integers(0, 2, (QUESTIONS, 2))
    with path.open("w") as file:
        for row, kind in enumerate(kinds):
            names = TYPES[kind]
            truth, answer = counts[row] if names is None else (names[marks[row, 0]], names[marks[row, 1]])
            line = {"id": str(row), "question": f"How many or is there any? {row}", "vqa_type": str(kind)}
            file.write(json.dumps(line | {"answer": str(answer), "annotation": str(truth)}) + "\n")


def boxes(path: Path, rng: np.random.Generator) -> None:
    with path.open("w") as file:
        for _ in range(BOXES // PER_IMAGE):
            low = rng.integers(0, 80, (PER_IMAGE, 2))
            true = np.column_stack([low, low + rng.integers(5, 20, low.shape), rng.integers(0, 180, len(low))])
            moved = true + rng.integers(-3, 4, true.shape)
            texts = ["".join(f"[{row}]" for row in table.clip(0).tolist()) for table in (moved, true)]
            file.write(json.dumps({"answer": texts[0], "gt_bbox": texts[1], "size_group": "small"}) + "\n")


def first_rows(path: Path, count: int) -> list[dict[str, str]]:
    with path.open() as file:
        return [json.loads(line) for line in itertools.islice(file, count)]


def plain_questions(path: Path) -> None:
    tokens = NLTKWordTokenizer()
    for row in first_rows(path, QUESTIONS // PART):
        packed = (row[name].strip().lower().replace(" ", "") for name in ("annotation", "answer"))
        truth, answer = map(tokens.tokenize, packed)
        len(set(truth) & set(answer)) / len(truth)


def plain_boxes(path: Path) -> None:
    for row in first_rows(path, BOXES // PER_IMAGE // PART):
        iou = core.iou(core.parse(row["answer"], "earthdial"), core.parse(row["gt_bbox"], "earthdial"))
        for threshold in THRESHOLDS:
            linear_sum_assignment(np.where(iou >= threshold, 1 + iou, 0), maximize=True)


def our_questions(path: Path) -> None:
    legacy.classification(read(path, "vqa")).popitem()[1].scores()


def our_boxes(path: Path) -> None:
    scored(*both(read(path, "detection"), "gt_bbox", "earthdial")).scores()


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """CPU seconds of this thread and its children: other work on the machine is not counted."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def compare(
    path: Path, task: Task, count: int, ours: Callable[[Path], None], reference: Callable[[Path], None]
) -> None:
    for protocol in PROTOCOLS:
        took = seconds(score_file, path, task, ScoringSettings(protocol))
        print(f"{task}: {count:,} {protocol}, file to table with intervals and controls, in {took:.1f} s")
    fast, slow = seconds(ours, path), seconds(reference, path) * PART
    print(f"{task}: the same metrics alone {fast:.1f} s, the usual way {slow:.1f} s: {slow / fast:.1f} times as fast")


def main() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        asked, drawn = Path(folder) / "questions.jsonl", Path(folder) / "boxes.jsonl"
        questions(asked, rng)
        boxes(drawn, rng)
        compare(asked, "vqa", QUESTIONS, our_questions, plain_questions)
        compare(drawn, "detection", BOXES, our_boxes, plain_boxes)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
