"""Which questions of a gate set another model has an unfair advantage in: it was trained on their places."""

import re
from collections.abc import Iterable
from math import gcd
from pathlib import Path

import polars as pl
import pyarrow.compute as pc

from tasks.core import tables
from tasks.evaluation.metrics.predictions import Predictions

WINDOW = re.compile(r"(?P<zone>\d+)-(?P<side>\d+)-c(?P<column>-?\d+)-r(?P<row>-?\d+)")
"""Names of `tasks.earth.grid.WindowGrid`."""


def seen_questions(
    candidate: Predictions, split: Path, trained_on: Iterable[Path], their_split: Path
) -> frozenset[str]:
    """Ids of the questions about places that another model was trained on, whatever the sensor.

    Args:
        candidate: the questions, by `image_id`.
        split: assignment.parquet of the candidate's dataset.
        trained_on: train.parquet of every mixture that the other model has seen.
        their_split: assignment.parquet of the dataset that they are made of.
    """
    trained: set[str] = set()
    for path in trained_on:
        images = pc.list_flatten(tables.read(path, ["images"])["images"])
        trained |= set(pc.struct_field(images, "chip_id").unique().to_pylist())
    theirs, ours = _windows(their_split), _windows(split)
    windows = (*theirs.values(), *ours.values())
    step = gcd(*(int(name["side"]) for window in windows if (name := WINDOW.fullmatch(window))))
    ground = {cell for chip in trained if chip in theirs for cell in _cells(theirs[chip], step)}
    spoiled = {
        chip
        for chip in candidate.frame["image_id"].unique().to_list()
        if chip in trained or (chip in ours and not ground.isdisjoint(_cells(ours[chip], step)))
    }
    return frozenset(candidate.frame.filter(pl.col("image_id").is_in(list(spoiled)))["id"].to_list())


def _windows(path: Path) -> dict[str, str]:
    table = tables.read(path, ["chip_id", "window_id"])
    return dict(zip(table["chip_id"].to_pylist(), table["window_id"].to_pylist(), strict=True))


def _cells(window: str, step: int) -> Iterable[tuple[str, int, int]]:
    """Squares of `step` metres that a window covers; one without a place in the grid is like itself alone."""
    name = WINDOW.fullmatch(window)
    if name is None:
        return ((window, 0, 0),)
    wide = int(name["side"]) // step
    left, bottom = int(name["column"]) * wide, int(name["row"]) * wide
    return ((name["zone"], left + x, bottom + y) for x in range(wide) for y in range(wide))
