"""Evaluation files with a question and a truth a record: GeoChat-Bench (JSONL) and VRSBench (JSON)."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.core.json_lines import read_json_lines
from tasks.dialogue.boxes import BoxError
from tasks.evaluation.datasets.adapters.job import ImportJob, short_answer_type
from tasks.evaluation.datasets.files import ImageIndex, get, need, read_json, records
from tasks.evaluation.datasets.owner_boxes import Box, read, upright, write
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

_VRS = re.compile(r"<(-?\d+(?:\.\d+)?)>")


def geochat(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each record of the wanted type: referring, region captions, grounded descriptions.

    Options: `file`; `images`; `types`, which values of the field `type` are taken, all if not given.
    """
    path = need(root, *job.option("file"))
    index = ImageIndex(need(root, *job.option("images")))
    wanted = job.option("types")
    for line, record in read_json_lines(path, BenchmarkError, "fetch the file again"):
        where = f"{path}, line {line}"
        type = str(record.get("type", ""))
        if wanted and type not in wanted:
            continue
        id = str(record.get("question_id", f"{line:06d}"))
        name = str(get(record, "image_id", where))
        truth = record.get("ground_truth", record.get("description"))
        if truth in (None, "", []):
            yield Rejected(id, "no_truth", f"line {line} has no truth", name)
            continue
        text = _text(truth)
        try:
            boxes = read(text) if job.benchmark.answer_type in ("boxes", "grounded") else []
        except BoxError as error:
            yield Rejected(id, "no_box", f"line {line}: {error}", name)
            continue
        asked = str(record.get("question", "Describe the image"))
        yield job.sample(
            id,
            [job.image(index.find(name, f"{name}.png"))],
            job.question(question=asked, object=asked, box=asked),
            [text],
            boxes=tuple(boxes),
            size_group=str(record.get("size_group", "") or ""),
            group=name,
            extra={key: record[key] for key in ("dataset", "obj_ids", "type") if key in record},
        )


def _text(truth: Any) -> str:
    """Boxes come as text, or as lists of five numbers."""
    if isinstance(truth, str):
        return truth
    flat = truth if truth and isinstance(truth[0], list) else [truth]
    return "".join(f"[[{', '.join(str(number) for number in _five(box))}]]" for box in flat)


def _five(box: Any) -> list[Any]:
    """One box out of however many brackets are around it."""
    while len(box) == 1 and isinstance(box[0], list):
        box = box[0]
    return list(box)


def vrsbench(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each record of VRSBench_EVAL_vqa, _referring or _Cap.

    Truth boxes are `{<x1><y1><x2><y2>}` in hundredths of the image; the rotated corners, where the record has them,
    stay in `extra`. A box without area is left out, and said so.
    """
    path = need(root, *job.option("file"))
    index = ImageIndex(need(root, *job.option("images")))
    for number, record in enumerate(records(read_json(path), "annotations", path)):
        where = f"{path}, record {number}"
        id = str(record.get("question_id", f"{number:06d}"))
        name = str(get(record, "image_id", where))
        truth = str(get(record, "ground_truth", where)).strip()
        asked = str(record.get("question", ""))
        boxes: tuple[Box, ...] = ()
        if not truth:
            yield Rejected(id, "no_truth", f"record {number} has no truth", name)
            continue
        if job.benchmark.answer_type == "boxes":
            sides = [float(side) for side in _VRS.findall(truth)]
            if len(sides) != 4 or sides[0] == sides[2] or sides[1] == sides[3]:
                yield Rejected(id, "no_box", f"record {number}: no box with an area in {truth[:60]!r}", name)
                continue
            boxes = (upright(sides, 100, 100),)
            truth = write(boxes)
        type = str(record.get("type", ""))
        yield job.sample(
            id,
            [job.image(index.find(name))],
            job.question(question=asked, object=asked),
            [truth],
            boxes=boxes,
            answer_type=short_answer_type(truth) if job.benchmark.task == "vqa" else job.benchmark.answer_type,
            size_group=str(record.get("size_group", "") or ""),
            vqa_type=type if job.benchmark.task == "vqa" else "",
            group=name,
            extra=_kept(record),
        )


def _kept(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: record[key] for key in ("dataset", "obj_corner", "is_unique", "obj_cls", "obj_ids") if key in record}
