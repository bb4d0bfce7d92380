"""Questions with choices: GEOBench-VLM's qa.json, and XLRS-Bench's tables (whose captions and boxes come along)."""

import json
import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tasks.evaluation.datasets.adapters import tables
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import ImageIndex, get, need, read_json, records
from tasks.evaluation.datasets.owner_boxes import Box, upright, write
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def geobench_vlm(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each wording (`prompts`) of each record of Single/qa.json or Temporal/qa.json.

    The truth is the letter; all dates are shown, where the owner's script shows the first and the last. Records
    without choices (boxes, captions) are other tasks and are left out, and said so.
    """
    path = need(root, *job.option("file"))
    index = ImageIndex(root)
    for number, record in enumerate(records(read_json(path), "questions", path)):
        where = f"{path}, record {number}"
        task = str(record.get("task", ""))
        paths = get(record, "image_path", where)
        names = [paths] if isinstance(paths, str) else list(paths)
        options = [str(option) for option in record.get("options_list") or []]
        letter = str(record.get("ground_truth_option") or "").strip().rstrip(".")
        question_id = str(record.get("question_id", number))
        if not options or not letter:
            yield Rejected(f"{number}", "no_choices", f"record {number} ({task}) has no choices", ", ".join(names))
            continue
        images = [job.image(index.find(name)) for name in names]
        listed = str(record.get("options") or " ".join(_lettered(options)))
        for wording, prompt in enumerate(get(record, "prompts", where)):
            question = job.question(
                question=str(prompt),
                options=listed,
                description=str(record.get("cls_description") or ""),
                images=" ".join(["<image>"] * len(images)),
            )
            yield job.sample(
                f"{number}#{wording}",
                images,
                question,
                [letter],
                options=tuple(options),
                vqa_type=task,
                group=names[0],
                extra={"ground_truth": record.get("ground_truth"), "question_id": question_id},
            )


def _lettered(options: Sequence[str]) -> list[str]:
    return [f"{letter}. {option}" for letter, option in zip(string.ascii_uppercase, options, strict=False)]


def xlrs(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each row of an XLRS-Bench table.

    Columns: `index` or `question_id`, `question`, `multi-choice options`, `answer`, `category`, `image` (one or a
    list); the caption table has captions in `answer`, the grounding table `bbox` as fractions. Option `folder`.
    """
    for number, row in enumerate(tables.rows(root, job.option("folder", "."))):
        where = f"{root}, row {number}"
        id = str(row.get("index", row.get("question_id", row.get("id", number))))
        cells = row.get("image")
        pictures = [tables.picture(cell) for cell in (cells if isinstance(cells, list) else [cells])]
        if not pictures or None in pictures:
            yield Rejected(id, "unreadable_image", f"row {number} has no image")
            continue
        images = [job.embedded(data) for data in pictures if data is not None]
        asked = str(get(row, "question", where))
        common: dict[str, Any] = {"vqa_type": str(row.get("category") or ""), "group": str(row.get("path") or id)}
        if job.benchmark.answer_type == "boxes":
            box = _box(get(row, "bbox", where))
            if box is None:
                yield Rejected(id, "no_box", f"row {number}: no box of fractions in {row['bbox']}")
                continue
            yield job.sample(id, images, job.question(object=asked), [write([box])], boxes=(box,), **common)
            continue
        answer = get(row, "answer", where)
        truths = [str(text) for text in (answer if isinstance(answer, list) else [answer]) if str(text or "").strip()]
        if not truths:
            yield Rejected(id, "no_truth", f"row {number} has no answer")
            continue
        if job.benchmark.answer_type == "choice":
            options = _options(get(row, "multi-choice options", where))
            question = job.question(question=asked, options="\n".join(options))
            letters = " ".join(sorted(set("".join(truths)) & set(string.ascii_uppercase)))
            if not letters:
                yield Rejected(id, "no_truth", f"row {number}: no letter in the answer {truths[0]!r}")
                continue
            yield job.sample(id, images, question, [letters], options=tuple(options), **common)
        else:
            yield job.sample(id, images, job.question(question=asked), truths, **common)


def _options(cell: Any) -> list[str]:
    if isinstance(cell, str):
        cell = json.loads(cell) if cell.lstrip().startswith("[") else cell.splitlines()
    return [str(option) for option in cell]


def _box(cell: Any) -> Box | None:
    sides = [float(side) for side in (json.loads(cell) if isinstance(cell, str) else cell or [])]
    if len(sides) != 4 or max(sides) > 1 or sides[0] >= sides[2] or sides[1] >= sides[3]:
        return None
    return upright(sides, 1, 1)
