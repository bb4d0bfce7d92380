"""The table that a run leaves: one row a sample, with the truth and the answers of every arm, as scorers read it."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from tasks.core import boxes as text_boxes
from tasks.running.parsed import parse
from tasks.running.questions import Answer, Arm

if TYPE_CHECKING:
    from tasks.running.run import Job

ARM_COLUMNS: dict[Arm, str] = {
    "no-image": "no_image_answer",
    "other-image": "other_image_answer",
    "shuffled-bands": "shuffled_bands_answer",
    "greyed": "greyed_answer",
}
"""Where the answers of a control stand; the names are those of `tasks.scoring.read.ARMS`."""
FIRST = pa.schema(
    [
        ("id", pa.string()),
        ("benchmark", pa.string()),
        ("split", pa.string()),
        ("image_id", pa.string()),  # what questions share, and a bootstrap resamples
        ("vqa_type", pa.string()),
        ("size_group", pa.string()),
        ("answer_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("question", pa.string()),  # as published
        ("prompt", pa.string()),  # as the model was given it
        ("prompt_tokens", pa.int32()),
        ("answer", pa.string()),  # raw; empty where the question was rejected
        ("parsed", pa.string()),
        ("stop", pa.string()),
        ("rejected", pa.string()),
        ("references", pa.list_(pa.string())),
    ]
)
TRUTH = {
    "detection": "gt_bbox",
    "grounding": "groundtruth",
    "captioning": None,
    "change": None,
}
"""Column of the truth by task; None where it is `references`; `annotation` for the others."""
REJECTED = pa.schema([(name, pa.string()) for name in ("id", "arm", "reason", "detail")])
"""One row for every question that could not be asked."""
BOXES = re.compile(r"\[[\[\]\d\s.,-]*\]")


def rows_of(
    job: "Job", samples: Sequence[Mapping[str, Any]], answers: Mapping[Arm, Sequence[Answer]]
) -> list[dict[str, Any]]:
    """The rows of predictions.parquet.

    Args:
        job: the run.
        samples: rows of the imported benchmark, without images.
        answers: of every arm, in the order of the samples.
    """
    form = job.model.boxes
    rows = []
    for number, sample in enumerate(samples):
        own = answers["answer"][number]
        references = truths(sample, form)
        row = {
            **{name: sample[name] for name in ("id", "benchmark", "split", "answer_type", "question", "options")},
            "image_id": sample["group"],
            "vqa_type": sample["vqa_type"] or None,
            "size_group": sample["size_group"] or None,
            "prompt": own.prompt,
            "prompt_tokens": own.prompt_tokens,
            "answer": own.text,
            "parsed": parse(own.text, sample["answer_type"], sample["options"], form),
            "stop": own.stop or None,
            "rejected": own.rejected or None,
            "references": references,
        }
        truth = TRUTH.get(job.benchmark.task, "annotation")
        if truth is not None:
            row[truth] = references[0]
        if job.benchmark.task == "grounding" and sample["boxes"]:
            row["obj_ids"] = _boxes(sample["boxes"], form)
        for arm in job.arms:
            told = answers[arm][number]
            row[ARM_COLUMNS[arm]] = None if told.rejected else told.text
        rows.append(row)
    return rows


def schema_of(arms: Sequence[Arm], rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """`FIRST`, the truth of the task, and a column for each arm; columns that no row fills are left out."""
    names = dict.fromkeys(name for row in rows for name in row)
    further = [name for name in names if name not in FIRST.names]
    fields = [*FIRST, *(pa.field(name, pa.string()) for name in further)]
    optional = {"vqa_type", "size_group", *(ARM_COLUMNS[arm] for arm in arms)}
    filled = {name for name in optional for row in rows if row.get(name) is not None}
    return pa.schema([field for field in fields if field.name not in optional - filled])


def truths(sample: Mapping[str, Any], form: str) -> list[str]:
    """The references, their boxes in the model's form: a scorer reads answer and truth in one.

    Boxes come from the owner's numbers, which the published grid of 100 would round.
    """
    references = list(sample["references"])
    if form == "earthdial" or not sample["boxes"] or sample["answer_type"] not in ("boxes", "grounded"):
        return references
    if sample["answer_type"] == "boxes":
        return [_boxes(sample["boxes"], form), *references[1:]]
    return [in_form(reference, form) for reference in references]


def in_form(text: str, form: str) -> str:
    """A text with its boxes rewritten from EarthDial's form to another; what is no box stays as it is."""

    def rewritten(match: re.Match[str]) -> str:
        found = text_boxes.find(match[0], "earthdial")
        return match[0] if found.refused or not len(found.boxes) else text_boxes.write(found.boxes, form)

    return text if form == "earthdial" else BOXES.sub(rewritten, text)


def _boxes(boxes: Sequence[Sequence[float]], form: str) -> str:
    return text_boxes.write(np.array(boxes, dtype=np.float64).reshape(-1, 5), form)
