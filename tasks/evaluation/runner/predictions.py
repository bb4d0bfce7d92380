"""The table that a run leaves: one row a question, with its truth and all answers to it, as scorers read it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.dialogue import boxes as text_boxes
from tasks.evaluation.metrics.extraction import extract
from tasks.evaluation.runner.questions import Answer, EvaluationJob
from tasks.vlm.controls import CONTROLS, ControlName

COLUMNS = pa.schema(
    [
        ("id", pa.string()),
        ("benchmark", pa.string()),
        ("split", pa.string()),
        ("image_id", pa.string()),  # what questions share, and a bootstrap resamples
        ("sensor", pa.string()),  # of the first image
        ("modality", pa.string()),
        ("question_type", pa.string()),
        ("size_group", pa.string()),
        ("answer_type", pa.string()),
        ("options", pa.list_(pa.string())),
        ("question", pa.string()),  # as published
        ("prompt", pa.string()),  # as the model was given it
        ("prompt_tokens", pa.int32()),
        ("answer", pa.string()),  # raw; empty where the question was rejected
        ("extracted", pa.string()),
        ("stop", pa.string()),
        ("rejected", pa.string()),
        ("references", pa.list_(pa.string())),
    ]
)
"""The table's columns, whoever was asked what. Behind them stand the truth of the task, the answers of each control
and, of the demo's held-out split, the marks (`tasks.evaluation.metrics.held_out`)."""
TRUTH = {
    "detection": "gt_bbox",
    "grounding": "groundtruth",
    "captioning": None,
    "change": None,
}
"""Column of the truth by task; None where it is `references`; `annotation` for the others."""
REJECTED = pa.schema([(name, pa.string()) for name in ("id", "control", "reason", "detail")])
"""One row for every question that could not be asked; `control` is null where it was asked as it is."""
BOXES = re.compile(r"\[[\[\]\d\s.,-]*\]")
Row = dict[str, Any]


def rows_of(job: EvaluationJob, answers: Mapping[ControlName | None, Sequence[Answer]]) -> list[Row]:
    """The rows of predictions.parquet.

    Args:
        job: the run.
        answers: of the questions as they are (None) and of every control, in the order of the source.
    """
    form, source = job.model.box_form, job.source
    truth = TRUTH.get(source.task, "annotation")
    rows = []
    for question, own, *others in zip(source.rows(), *(answers[control] for control in job.asked), strict=True):
        references = truths(question, form, source.box_form)
        row = {
            **{name: question[name] for name in ("id", "split", "image_id", "answer_type", "question", "options")},
            "benchmark": source.name,
            "sensor": question.get("sensor") or None,
            "modality": question.get("modality") or source.modality,
            "question_type": question["question_type"] or None,
            "size_group": question["size_group"] or None,
            "prompt": own.prompt,
            "prompt_tokens": own.prompt_tokens,
            "answer": own.text,
            "extracted": extract(own.text, question["answer_type"], question["options"], form),
            "stop": own.stop or None,
            "rejected": own.rejected or None,
            "references": references,
        }
        if truth is not None:
            row[truth] = references[0]
        if source.task == "grounding" and question["boxes"]:
            row["obj_ids"] = _boxes(question["boxes"], form)
        for control, other in zip(job.controls, others, strict=True):
            row[CONTROLS[control].column] = None if other.rejected else other.text
        rows.append(row)
    return rows


def schema_of(rows: Sequence[Mapping[str, Any]]) -> pa.Schema:
    """`COLUMNS`, and behind them what else the rows have; columns that no row need have and none has are left out."""
    further = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in COLUMNS.names]
    optional = {"question_type", "size_group", *(control.column for control in CONTROLS.values())}
    filled = {name for row in rows for name in row if row[name] is not None}
    marks = {name for row in rows for name in further if isinstance(row.get(name), bool)}
    fields = [*COLUMNS, *(pa.field(name, pa.bool_() if name in marks else pa.string()) for name in further)]
    return pa.schema([field for field in fields if field.name not in optional - filled])


def truths(sample: Mapping[str, Any], form: str, given: str = "earthdial") -> list[str]:
    """The references, their boxes in the model's form: a scorer reads answer and truth in one. `given` is their own.

    Boxes come from the owner's numbers, which the published grid of 100 would round.
    """
    references = list(sample["references"])
    if form == given or not sample["boxes"] or sample["answer_type"] not in ("boxes", "grounded"):
        return references
    if sample["answer_type"] == "boxes":
        return [_boxes(sample["boxes"], form), *references[1:]]
    return [in_form(reference, form, given) for reference in references]


def in_form(text: str, form: str, given: str = "earthdial") -> str:
    """A text with its boxes rewritten from the form they were `given` in; what is no box stays as it is."""

    def rewritten(match: re.Match[str]) -> str:
        found = text_boxes.find(match[0], given)
        return match[0] if found.refused or not len(found.boxes) else text_boxes.write(found.boxes, form)

    return text if form == given else BOXES.sub(rewritten, text)


def _boxes(boxes: Sequence[Sequence[float]], form: str) -> str:
    return text_boxes.write(np.array(boxes, dtype=np.float64).reshape(-1, 5), form)
