"""A file of predictions as a frame: its fields recognised, its values made comparable.

Every column comes out as text, in the order of the file. What was odd about the file is counted, never dropped in
silence: docs/reference/metrics.md, section "Input", has the rules.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.coco_files import CocoBoxes, annotations, results
from tasks.evaluation.metrics.field_names import TRUTHS
from tasks.evaluation.metrics.fields import RECOGNISED, FieldFlags, listing, named
from tasks.evaluation.metrics.guesses import GUESSES
from tasks.evaluation.metrics.json_shapes import ID, VALUE
from tasks.evaluation.metrics.prediction_files import CONFIDENCES, read_frame
from tasks.evaluation.metrics.truth_file import joined
from tasks.evaluation.metrics.values import ALTERNATIVES, settled
from tasks.vlm.controls import CONTROLS

MAX_CHARACTERS = 100_000
"""Characters of an answer or a truth. A longer answer is scored as no answer, a longer truth is refused."""
MAX_TEXT_CHARACTERS = 20_000
"""The same where texts are compared word by word: METEOR's time grows with the words of one times the other's."""
TEXTS = ("captioning", "region_captioning", "grounding", "change")
"""Tasks whose texts are compared word by word."""
CONTROL_COLUMNS: dict[str, tuple[str, ...]] = {
    **{control.key: control.columns for control in CONTROLS.values()},
    **{guess.score_name: (guess.column,) for guess in GUESSES.values()},
}
"""Answers of controls that may stand in the same file, by the name of their score: columns in order of preference.
Those of `GUESSES` are of the training side, which a scorer knows nothing of: the file has them or not."""
GROUPS = ("chip_id", "image_id", "image")
IDS = (("id",), ("question_id",), ("sample_id", "turn"))
TYPES = ("vqa_type", "question_type", "type")
MASKS = ("mask", "answer_mask")
KNOWN = frozenset(
    [
        *(name for names in CONTROL_COLUMNS.values() for name in names),
        *(name.replace("_answer", "_correct") for names in CONTROL_COLUMNS.values() for name in names),
        *GROUPS,
        *(name for names in IDS for name in names),
        *TYPES,
        *CONFIDENCES,
        *MASKS,
        *["answer", "question", "annotation", "groundtruth", "gt_bbox", "references", "task_type", "size_group"],
        *["obj_ids", "obj_location", "obj_name", "sensor", "modality", "prompt", "raw_answer", "parsed_answer"],
        *["correct", "checkpoint", "benchmark", "split", "prompt_tokens", "stop", "model", "control", "arm"],
        *"ABCDEFGHIJ",
        *["width", "height", "image_width", "image_height", "img_width", "img_height"],
        *[ALTERNATIVES, "scene", "asked_in_training", "extracted", "parsed", "rejected", "answer_type", "options"],
    ]
)
NUMBERED = re.compile(r"(caption|groundtruth)\d+")


@dataclass(frozen=True)
class Predictions:
    """One file, ready to be scored."""

    path: Path
    task: str
    frame: pl.DataFrame
    """A row each; `answer` is never null, the other columns are text as in the file."""
    truth: str
    """Name of the column that holds the truth, or the first of several references."""
    counts: dict[str, Any] = field(default_factory=dict)
    """What was odd about the file: the `input` of the result."""
    mark: str | None = None
    """What separates the classes of a list, where the file has lists; None where its texts tell."""
    truth_form: str | None = None
    """How the boxes of the truth are written, if otherwise than those of the answers."""
    coco: CocoBoxes | None = None
    """Boxes of COCO's files as they stand, for COCO's own figures."""

    def __len__(self) -> int:
        """Rows of the file."""
        return len(self.frame)

    def texts(self, column: str) -> list[str]:
        """A column as texts, empty where the file has nothing."""
        return self.frame[column].fill_null("").to_list()

    def references(self) -> list[list[str]]:
        """Every reference of each row, the empty ones included, as they stand in the file."""
        if len(self.truths()) == 1:
            return [listed(text) or [text] for text in self.texts(self.truth)]
        return [list(row) for row in zip(*(self.texts(name) for name in self.truths()), strict=True)]

    def truths(self) -> list[str]:
        """The columns that hold the truth: `caption0` and those numbered after it, else one."""
        match = NUMBERED.fullmatch(self.truth)
        if match is None:
            return [self.truth]
        names = (name for name in self.frame.columns if re.fullmatch(match[1] + r"\d+", name))
        return sorted(names, key=lambda name: int(name.removeprefix(match[1])))

    def groups(self) -> NDArray[np.int64] | None:
        """A number for each row's chip or image, (rows,); none if the file does not name it in every row."""
        for name in GROUPS:
            if name in self.frame.columns and self.frame[name].str.strip_chars().replace("", None).null_count() == 0:
                return self.frame[name].rank("dense").cast(pl.Int64).to_numpy() - 1
        return None

    def type_column(self) -> str | None:
        """The column with the type of each question."""
        return next((name for name in TYPES if name in self.frame.columns), None)

    def rows_of(self, column: str) -> dict[str, NDArray[np.int64]]:
        """The rows that have each text of a column, by text in order of the alphabet; nulls are empty texts."""
        texts = self.frame.select(pl.col(column).fill_null("").alias("text")).with_row_index("row")
        groups = texts.group_by("text").agg("row").sort("text").iter_rows()
        return {text: np.array(rows, dtype=np.int64) for text, rows in groups}

    def keys(self) -> pl.Series | None:
        """A text that names each row, (rows,); none if the file has no ids."""
        for names in IDS:
            if set(names) <= set(self.frame.columns) and not any(self.frame[name].null_count() for name in names):
                return self.frame.select(pl.concat_str(names, separator=" turn ").alias("key"))["key"]
        return None

    def answered(self, answers: Sequence[str] | pl.Series) -> "Predictions":
        """The same questions with other answers: those of a control, or a constant."""
        return replace(self, frame=self.frame.with_columns(pl.Series("answer", answers, dtype=pl.String)))

    def rows(self, where: NDArray[Any]) -> "Predictions":
        """Some of the rows, by a mask or by numbers."""
        picked = np.flatnonzero(where) if where.dtype == np.bool_ else where
        return replace(self, frame=self.frame[picked])


def read(path: Path, task: str, flags: FieldFlags = RECOGNISED, truth_path: Path | None = None) -> Predictions:
    """A file of predictions for one of `TRUTHS`' tasks.

    Args:
        path: of the file.
        task: decides which fields are the truth.
        flags: fields that a person named; the others are recognised.
        truth_path: file of the truths, joined by id, or COCO's annotations; None where they are in the same file.

    Raises:
        PredictionsError: the file cannot be read, has no row, no answers, no truth for this task, or an id twice.
    """
    frame = read_frame(path)
    if not len(frame):
        raise PredictionsError(f"{path} has no row")
    coco = None
    truth: str | None
    annotated = annotations(truth_path) if truth_path is not None else None
    if annotated is not None and truth_path is not None:
        of_coco = results(frame, path, annotated, truth_path, task)
        frame, truth, noted, coco = of_coco.frame, of_coco.truth, of_coco.noted, of_coco.boxes
    else:
        frame, truth, noted = _with_truth(frame, path, task, flags, truth_path)
    settled_ = settled(frame, path, task, truth)
    frame, mark, how = settled_.frame, settled_.mark, settled_.counts
    longest = MAX_TEXT_CHARACTERS if task in TEXTS else MAX_CHARACTERS
    cleaned, counts = _cleaned(frame, truth, longest)
    predictions = Predictions(path, task, cleaned, truth, {**counts, **noted, **how}, mark, coco=coco)
    _refuse_doubled(predictions)
    _refuse_truths(predictions, longest)
    return predictions


def _with_truth(
    frame: pl.DataFrame, path: Path, task: str, flags: FieldFlags, truth_path: Path | None
) -> tuple[pl.DataFrame, str, dict[str, Any]]:
    """The frame with answers and truths, the column of the truths, and how they were found."""
    if truth_path is not None:
        if {ID, VALUE} == set(frame.columns):
            frame = frame.rename({VALUE: "answer"})
        found = named(frame, path, task, FieldFlags(flags.answer))
        both = joined(found.frame, path, truth_path, task, flags)
        return both.frame, both.truth, {**({"fields": found.noted} if found.noted else {}), **both.noted}
    found = named(frame, path, task, flags)
    if found.truth is None:
        noted = f" ({found.noted})" if found.noted and found.noted.startswith("fields of") else ""
        raise PredictionsError(
            f"{path} has no truth for --task {task}{noted}: one of {listing(TRUTHS[task])} is needed, its fields are "
            f"{listing(frame.columns)}; name it with --truth-field, or give the file that holds it as --truth"
        )
    return found.frame, found.truth, {"fields": found.noted} if found.noted else {}


def _cleaned(frame: pl.DataFrame, truth: str, longest: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Answers without nulls, and the counts of what was odd."""
    length = pl.col("answer").str.len_chars()
    oddities = frame.select(
        missing_answers=pl.col("answer").is_null().sum(),
        empty_answers=(pl.col("answer").str.strip_chars() == "").sum(),
        oversized_answers=(length > longest).sum(),
        unicode_minus=pl.col("answer").str.contains("\N{MINUS SIGN}", literal=True).sum(),
        empty_references=(pl.col(truth).fill_null("").str.strip_chars() == "").sum(),
    ).row(0, named=True)
    unknown = {
        name: len(frame) - frame[name].null_count()
        for name in frame.columns
        if name not in KNOWN and not NUMBERED.fullmatch(name)
    }
    counts: dict[str, Any] = {name: int(count or 0) for name, count in oddities.items()}
    if unknown:
        counts["unknown_fields"] = unknown
    cleaned = frame.with_columns(
        pl.when(length > longest).then(pl.lit("")).otherwise(pl.col("answer").fill_null("")).alias("answer")
    )
    return cleaned, counts


def _refuse_doubled(predictions: Predictions) -> None:
    keys = predictions.keys()
    if keys is None or keys.n_unique() == len(keys):
        return
    doubled = keys.filter(keys.is_duplicated())
    first = doubled[0]
    rows = (keys == first).arg_true() + 1
    raise PredictionsError(
        f"{predictions.path}: {doubled.n_unique()} ids stand more than once, first '{first}' in rows "
        f"{', '.join(map(str, rows.head(5).to_list()))}; keep one row of each"
    )


def _refuse_truths(predictions: Predictions, longest: int) -> None:
    """A file none of whose rows has a truth is of another task; an overlong truth is no truth."""
    frame = predictions.frame.select(predictions.truths())
    if frame.select(pl.all_horizontal(pl.all().fill_null("").str.strip_chars() == "").all()).item():
        raise PredictionsError(
            f"{predictions.path}: '{predictions.truth}' is empty in every row; is --task {predictions.task} right?"
        )
    for name in frame.columns:
        lengths = frame[name].str.len_chars()
        if len(rows := (lengths > longest).arg_true()):
            raise PredictionsError(
                f"{predictions.path}, row {rows[0] + 1}: '{name}' has {lengths[rows[0]]:,} characters, "
                f"a truth {longest:,} at most"
            )


def listed(text: str) -> list[str]:
    """A text that is a JSON list of texts; empty if it is none."""
    if not text.lstrip().startswith("["):
        return []
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return []
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else []


def numbers(text: str) -> list[float]:
    """A text that is a number or a JSON list of numbers; empty if it is neither."""
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return []
    values = value if isinstance(value, list) else [value]
    return [float(item) for item in values] if all(isinstance(item, int | float) for item in values) else []
