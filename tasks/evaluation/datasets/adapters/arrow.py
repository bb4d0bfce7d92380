"""EarthDial's own evaluation shards: Arrow folders that hold the very questions its published scores were taken on.

Columns as its test scripts read them: an image column (`jpg`, `png`; `jpg_A` to `jpg_D` for dates; `jpg_pre`,
`jpg_post`; `tif_ms`, `rgbi`, `tif_pl` with `mag1c` for bands), `question`, `groundtruth` or `groundtruth0` to `4`,
and `ttype`, `size_group`, `obj_ids`, `obj_location`, `obj_name` where the task has them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tasks.core.errors import BenchmarkError
from tasks.dialogue.boxes import BoxError
from tasks.evaluation.datasets.adapters import tables
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import get
from tasks.evaluation.datasets.images import decode
from tasks.evaluation.datasets.owner_boxes import read
from tasks.evaluation.datasets.samples import BenchmarkImageRef, BenchmarkSample, Rejected

PICTURES = (("jpg_A", "jpg_B", "jpg_C", "jpg_D"), ("jpg_A", "jpg_B"), ("jpg_pre", "jpg_post"), ("jpg",), ("png",))
_TASK = re.compile(r"\[(?:refer|identify|grounding|caption|changedet|treeclassify|uhi)\]")
REFERENCES = tuple(f"groundtruth{number}" for number in range(5))


def table(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One sample for each row.

    Options: `folder`, where the shards may lie below the given folder; `images`, the columns whose layers make one
    multiband image; `rewrite`, [published head, head the test script puts in its place]; `suffix`, what the script
    appends to the question; `lists`, whether the truth is a JSON list of captions.
    """
    for number, row in enumerate(tables.rows(root, job.option("folder", "."))):
        where = f"{root}, row {number}"
        id = str(row.get("__key__") or f"{number:06d}")
        question = _question(str(get(row, "question", where)), job)
        if number == 0:
            _check_task(question, root, job)
        references = _references(row, where, job)
        if not any(references):
            yield Rejected(id, "no_truth", f"row {number} has no truth")
            continue
        try:
            images = _images(row, where, job)
        except ValueError as error:
            yield Rejected(id, "unreadable_image", f"row {number}: {error}")
            continue
        try:
            boxes = read(references[0]) if job.benchmark.answer_type in ("boxes", "grounded") else []
        except BoxError as error:
            yield Rejected(id, "no_box", f"row {number}: {error}")
            continue
        kept = {key: _unquoted(row[key]) for key in ("obj_ids", "obj_location", "obj_name") if row.get(key)}
        yield job.sample(
            id,
            images,
            question,
            references,
            boxes=tuple(boxes),
            size_group=_size(row),
            vqa_type=_unquoted(row.get("ttype") or "") if job.benchmark.task == "vqa" else "",
            extra={**kept, "row": number} | ({"task_type": _unquoted(row["ttype"])} if row.get("ttype") else {}),
        )


def _check_task(question: str, root: Path, job: ImportJob) -> None:
    """Shards of one data set's tasks lie side by side and look alike: the task's tag must be the benchmark's."""
    asked, expected = (set(_TASK.findall(text)) for text in (question, job.benchmark.prompt))
    if asked != expected:
        raise BenchmarkError(
            f"{root}: its first question is tagged {' '.join(sorted(asked)) or 'with no task'}, those of "
            f"{job.benchmark.name} {' '.join(sorted(expected)) or 'with none'}: {question[:80]!r}; give the folder of "
            f"{job.option('folder', 'its own shards')}"
        )


def _unquoted(text: Any) -> str:
    """As EarthDial writes it to its result files: without the quotes of the JSON string it was."""
    return str(text).strip('"')


def _question(text: str, job: ImportJob) -> str:
    """The question as the test script asks it and writes it to its result file."""
    if rewrite := job.option("rewrite"):
        text = text.replace(*rewrite)
    return _unquoted(text + job.option("suffix", ""))


def _references(row: Mapping[str, Any], where: str, job: ImportJob) -> list[str]:
    several = [_unquoted(row[key]) for key in REFERENCES if row.get(key) is not None]
    truth = several or [_unquoted(get(row, "groundtruth", where))]
    if job.option("lists") and truth[0].startswith("["):
        truth = [str(entry) for entry in json.loads(truth[0].replace('\\"', '"'))]
    return [text for text in truth if text.strip()]


def _size(row: Mapping[str, Any]) -> str:
    return _unquoted(row.get("size_group") or "")


def _images(row: Mapping[str, Any], where: str, job: ImportJob) -> list[BenchmarkImageRef]:
    layers = job.option("images")
    if layers:
        cells = [get(row, column, where) for column in layers]
        return [job.embedded(tables.multiband([_layer(cell) for cell in cells], len(job.benchmark.bands)))]
    columns = next((names for names in PICTURES if all(name in row for name in names)), None)
    if columns is None:
        raise ValueError(f"no image column; the columns are {', '.join(row)}")
    pictures = [tables.picture(row[column]) for column in columns]
    empty = [column for column, data in zip(columns, pictures, strict=True) if data is None]
    if empty:
        raise ValueError(f"no image in {', '.join(empty)}")
    return [job.embedded(data) for data in pictures if data is not None]


def _layer(cell: Any) -> Any:
    """A cell as an array: nested lists, or a picture's bytes."""
    data = tables.picture(cell) if isinstance(cell, dict | bytes) else None
    return np.asarray(decode(BenchmarkImageRef(data=data)), np.float32) if data else tables.array(cell)
