"""Truths that lie in another file than the answers, joined by what names the rows in both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.core.errors import PredictionsError
from tasks.evaluation.metrics.field_names import ID_FIELDS, TRUTHS
from tasks.evaluation.metrics.fields import FieldFlags, listing, truth_field
from tasks.evaluation.metrics.prediction_files import read_frame

SHOWN = 10
"""Ids named of those that only one file has."""
TURN = "turn"


@dataclass(frozen=True)
class Joined:
    """Questions with answers and truths."""

    frame: pl.DataFrame
    truth: str
    noted: dict[str, Any]
    """How the files were joined, and the ids that only one of them has."""


def joined(answers: pl.DataFrame, path: Path, other: Path, task: str, flags: FieldFlags) -> Joined:
    """The rows of both files by their ids, in the order of the answers; truths without an answer come behind.

    A truth without an answer is a question without one, so it is scored as wrong; an answer without a truth cannot be
    scored, and is left out. Both are counted, and the first named.

    Raises:
        PredictionsError: the files have no id in common, or an id stands twice in one of them.
    """
    truths, field = truth_field(read_frame(other), other, task, FieldFlags(None, flags.truth))
    target = field if field in TRUTHS[task] else "annotation" if "annotation" in TRUTHS[task] else TRUTHS[task][0]
    mine, theirs = _keys(answers, path, truths, other)
    taken = [name for name in truths.columns if name not in (*answers.columns, field, theirs) and name != target]
    right = truths.select(pl.col(theirs).alias("key of both"), pl.col(field).alias(target), *taken)
    left = answers.drop(target, strict=False).with_columns(pl.col(mine).alias("key of both"))
    lost = left.filter(~pl.col("key of both").is_in(right["key of both"].implode()))["key of both"]
    unanswered = right.filter(~pl.col("key of both").is_in(left["key of both"].implode()))["key of both"]
    both = left.join(right, on="key of both", how="inner", maintain_order="left", validate="1:1")
    alone = right.filter(~pl.col("key of both").is_in(left["key of both"].implode()))
    behind = alone.with_columns(pl.col("key of both").alias(mine))
    noted: dict[str, Any] = {
        "truth_file": f"{other.name}: '{field}' is the truth, joined by '{mine}'"
        + (f" = '{theirs}'" if mine != theirs else "")
    }
    for name, ids in (("answers_without_truth", lost), ("truths_without_answer", unanswered)):
        if len(ids):
            noted[name] = len(ids)
            noted[f"first_{name}"] = ids.head(SHOWN).to_list()
    return Joined(pl.concat([both, behind], how="diagonal").drop("key of both"), target, noted)


def _keys(answers: pl.DataFrame, path: Path, truths: pl.DataFrame, other: Path) -> tuple[str, str]:
    """The fields by which the rows of both files are the same: the pair with most values in common."""
    mine = [name for name in ID_FIELDS if name in answers.columns and not answers[name].null_count()]
    theirs = [name for name in ID_FIELDS if name in truths.columns and not truths[name].null_count()]
    pairs = [(one, two) for one in mine for two in theirs]
    shared = {pair: answers[pair[0]].is_in(truths[pair[1]].implode()).sum() for pair in pairs}
    unique = [pair for pair in pairs if answers[pair[0]].is_unique().all() and truths[pair[1]].is_unique().all()]
    best = max(unique, key=lambda pair: (shared[pair], pair[0] == pair[1]), default=None)
    if best is None or not shared[best]:
        doubled = next((pair for pair in pairs if shared[pair] and pair not in unique), None)
        if doubled is not None:
            file, name = (path, doubled[0]) if not answers[doubled[0]].is_unique().all() else (other, doubled[1])
            raise PredictionsError(
                f"{file}: a '{name}' stands in several rows, so answers and truths cannot be joined by it"
            )
        raise PredictionsError(
            f"{path} and {other} have no id in common ({listing(mine) or 'no id'} here, {listing(theirs) or 'no id'} "
            f"there); both need one of {listing(ID_FIELDS)}"
        )
    return best
