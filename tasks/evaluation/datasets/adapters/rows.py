"""Questions in a plain table, one a row: JSON lines, a JSON array, csv or tsv; for benchmarks of one's own."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.core.json_lines import read_json_lines
from tasks.dialogue.boxes import BoxError
from tasks.evaluation.datasets.adapters.job import ImportJob, short_answer_type
from tasks.evaluation.datasets.files import ImageIndex, get, need, read_json, records
from tasks.evaluation.datasets.owner_boxes import read
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

FIELDS = {name: name for name in ("id", "image", "question", "answer", "type", "options")}
"""What a row has, by the option of the source that names its field."""


def table(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each row.

    Options: `file`, its pattern; `images`, the folder of the images, the benchmark's own if not given; and for each of
    `FIELDS` the name of its field. `image` may be a list, `answer` too (several truths), `options` a list of choices.
    """
    path = need(root, *_listed(job.option("file", ["**/*.jsonl", "**/*.json", "**/*.csv", "**/*.tsv"])))
    index = ImageIndex(need(root, *_listed(job.option("images", "."))))
    names = {name: str(job.option(name, field)) for name, field in FIELDS.items()}
    for number, record in enumerate(_rows(path), start=1):
        where = f"{path}, row {number}"
        id = str(record.get(names["id"]) or f"{number:06d}")
        pictures = [str(name) for name in _listed(get(record, names["image"], where))]
        if bad := next((name for name in pictures if _leads_out(name)), None):
            yield Rejected(id, "image_outside", f"row {number}: the image {bad!r} is not below the folder", bad)
            continue
        truths = [str(text) for text in _listed(get(record, names["answer"], where)) if str(text or "").strip()]
        if not truths:
            yield Rejected(id, "no_truth", f"row {number} has no answer", ", ".join(pictures))
            continue
        kind = job.benchmark.answer_type
        try:
            boxes = [box for text in truths for box in read(text)] if kind in ("boxes", "grounded") else []
        except BoxError as error:
            yield Rejected(id, "no_box", f"row {number}: {error}", ", ".join(pictures))
            continue
        options = tuple(str(option) for option in _listed(record.get(names["options"]))) or job.benchmark.classes
        short = job.benchmark.task == "vqa" and kind == "text"
        yield job.sample(
            id,
            [job.image(index.find(name)) for name in pictures],
            job.question(question=str(record.get(names["question"]) or ""), options="\n".join(options)),
            truths,
            boxes=tuple(boxes),
            options=options,
            answer_type=short_answer_type(truths[0]) if short else kind,
            vqa_type=str(record.get(names["type"]) or ""),
            group=pictures[0] if pictures else id,
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        yield from (record for _, record in read_json_lines(path, BenchmarkError, "one object a line is needed"))
    elif suffix in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",")
    else:
        yield from records(read_json(path), "questions", path)


def _listed(value: Any) -> list[Any]:
    """A list, whether it is one already, the JSON of one as a cell of csv has it, or one value."""
    if isinstance(value, str) and value.lstrip().startswith("[") and not value.lstrip().startswith("[["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            return [value]
    return [] if value is None else list(value) if isinstance(value, list | tuple) else [value]


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts
