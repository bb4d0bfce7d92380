"""One row of a published set to rows of our tables: its chips, its conversation, or the reason it is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core import tables
from tasks.earth.display_sensors import known_sensor
from tasks.earth.sensors import Sensor
from tasks.published.arrow_files import SourceError
from tasks.published.images import Planes, read_images
from tasks.published.our_rows import chip_row, conversation_row
from tasks.published.registry import QUESTION, REFERENCES, TEXT, Published
from tasks.published.repairs import Notes, RowError
from tasks.published.text import flag_boxes, open_conversation, pair_turns, set_head

REJECTS = tables.rejection_schema(pa.field("row", pa.int64()), "shard", "key")
"""One row for each row that is refused: its number within its source file, that file, its own name if it has one."""
KEY = "__key__"
GENERATOR = "earthdial-instruct"


@dataclass(frozen=True)
class Columns:
    """Where the things of a row stand in one data set's files."""

    images: tuple[str, ...]
    text: str | None
    """The column of the conversation; None in evaluation sets, which have a question and references."""
    references: tuple[str, ...]
    key: str | None
    extra: tuple[str, ...]
    """What evaluation sets tell besides: sizes, places, numbers of the objects."""

    @property
    def all(self) -> list[str]:
        """Columns to read."""
        question = () if self.text else (QUESTION,)
        named = [name for name in (self.key, self.text) if name]
        return [*self.images, *named, *question, *self.references, *self.extra]


def find_columns(entry: Published, present: tuple[str, ...]) -> Columns:
    """The columns of a data set's files.

    Raises:
        SourceError: there is no column of images or of text that the registry knows.
    """
    images = next((columns for columns in entry.images if set(columns) <= set(present)), None)
    if images is None:
        wanted = " or ".join(" and ".join(columns) for columns in entry.images)
        raise SourceError(f"has no image column: '{entry.name}' needs {wanted}; found {', '.join(present)}")
    key = KEY if KEY in present else None
    text = next((column for column in entry.text if column in present), None)
    if text:
        return Columns(images, text, (), key, ())
    first = next((column for column in REFERENCES if column in present), None)
    if first is None or QUESTION not in present:
        raise SourceError(
            f"has no text column: one of {', '.join(TEXT)}, or {QUESTION} with one of {', '.join(REFERENCES)}, "
            f"is needed; found {', '.join(present)}"
        )
    stem = first.rstrip("0")
    references = tuple(column for column in present if column == first or column in [f"{stem}{n}" for n in range(10)])
    extra = ("ttype", "task_type", "size_group", "obj_ids", "obj_location", "obj_name", "vqa_type")
    return Columns(images, None, references, key, tuple(column for column in extra if column in present))


@dataclass(frozen=True)
class Converted:
    """A row that is kept."""

    chips: list[dict[str, Any]]
    conversation: dict[str, Any]
    images: list[Planes]


class Converter:
    """Turns rows of one data set into ours."""

    def __init__(self, dataset: str, entry: Published, columns: Columns) -> None:
        self.dataset = dataset
        self.entry = entry
        self.columns = columns
        self.sensor: Sensor = known_sensor(entry.sensor)

    def convert(self, row: Mapping[str, pa.Scalar], name: str, source: str, notes: Notes) -> Converted:
        """Chips and conversation of one row.

        Args:
            row: its cells by column.
            name: what its chips are called, unique in all imports.
            source: where it stands, for the chips' provenance.
            notes: takes repairs and flags.

        Raises:
            RowError: the row is refused.
        """
        # Text first: it is cheap, and most refused rows are refused for it.
        raw, claim = self._text(row)
        turns = pair_turns(open_conversation(raw, self.entry, notes), notes)
        images = read_images([row[column] for column in self.columns.images], self.entry, notes)
        turns, task = set_head(turns, len(images), self.entry, notes)
        flag_boxes(turns, notes)
        names = [name] if len(images) == 1 else [f"{name}-{number}" for number in range(len(images))]
        chips = [
            chip_row(chip_id, name, source, f"{GENERATOR}/{self.dataset}", self.sensor, image)
            for chip_id, image in zip(names, images, strict=True)
        ]
        talk = conversation_row(f"{name}#0", names, self.sensor, turns, task, claim, notes, GENERATOR, self.dataset)
        return Converted(chips, talk, images)

    def _text(self, row: Mapping[str, pa.Scalar]) -> tuple[Any, dict[str, Any]]:
        """The conversation as it stands, and what an evaluation set claims of its answer."""
        if self.columns.text:
            return row[self.columns.text].as_py(), {}
        question = row[QUESTION].as_py()
        answers = [answer for column in self.columns.references for answer in _references(row[column].as_py())]
        if question is None or not answers:
            raise RowError("missing-text", "the row has no question, or no reference answer")
        claim = {column: row[column].as_py() for column in self.columns.extra} | {"references": answers}
        return [{"from": "human", "value": question}, {"from": "gpt", "value": answers[0]}], claim


def _references(value: Any) -> list[str]:
    """Reference answers of one cell; a JSON list that was stored as text, as SYSU's are, is opened."""
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            opened = json.loads(value)
        except json.JSONDecodeError:
            return [value]
        # A box [[x, y, x, y, angle]] is a list of numbers, and the answer as it stands.
        if isinstance(opened, list) and opened and all(isinstance(item, str) for item in opened):
            return [str(item) for item in opened]
        return [value]
    if isinstance(value, list | np.ndarray):
        return [str(item) for item in value]
    return [] if value is None else [str(value)]
