"""What an export is made from, chip by chip: conversations, the chip they are about, its rendering, its split.

Conversations stand chip after chip in their tables, as stage `qa` writes them, so a chip is rendered once and nothing
is held but the chip at hand and the row groups around it.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.transform import Affine

from tasks.core import tables
from tasks.core.errors import DamagedFileError, ExchangeError, MissingInputError
from tasks.core.stage import read_json
from tasks.dialogue import conversations
from tasks.earth import chip_schema, geotiff
from tasks.earth.display_sensors import known_sensor
from tasks.earth.sensors import Sensor
from tasks.generators.chip_source import ChipSource
from tasks.generators.renderings import renderings
from tasks.pages import png
from tasks.vlm.bands import modality_tag

SPLITS = ("train", "val", "test")
"""The sides of the geographic split that leave; chips of the buffer between them belong to none."""
LEFT_OUT = tables.rejection_schema("chip_id", "conversation_id")
"""One row for every chip or conversation that an export does not hold; of a whole chip, its first conversation."""
BATCH = 512
"""Conversations read at a time."""
CONVERSATION = [name for name in conversations.SCHEMA.names if name != "facts"]
"""Columns of a conversation that an export reads."""
Planes = Mapping[str, NDArray[np.float32]]
AddRow = Callable[[Mapping[str, Any]], None]
"""Takes one row of `LEFT_OUT`."""


@dataclass(frozen=True)
class Talk:
    """One conversation about a chip."""

    turns: list[tuple[str, str]]
    """(question, answer), without tags and `<image>`."""
    tags: tuple[str, ...]
    """EarthDial's, of the sensor as it is rendered and of the task."""
    row: dict[str, Any]
    """Its row in the table, without `facts`."""

    def messages(self, image: str, tags: bool) -> list[tuple[str, str]]:
        """The turns with the mark of the image, and the tags if wanted, before the first question."""
        head = " ".join([*(self.tags if tags else ()), image])
        return [(f"{head}\n{question}" if not index else question, answer)
                for index, (question, answer) in enumerate(self.turns)]  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """One chip with its conversations."""

    chip: dict[str, Any]
    """Its row: the columns of a shard."""
    split: str
    part: str
    shard: str
    """File of its shard, in the folder of its part."""
    planes: Planes
    """(H, W) of each band by name, calibrated."""
    picture: bytes
    """PNG of the plainest rendering, in the chip's own pixels."""
    rendering: str
    """What it shows: bands and limits of the stretch."""
    talks: list[Talk]
    marked: frozenset[str] | None
    """Kinds of question that are answered without the picture, by stage `blind`; None where it has not run."""

    @cached_property
    def geotiff(self) -> bytes:
        """All bands in one directory, calibrated: who reads an export may know of no scales and further directories."""
        content: bytes = self.chip["pixels"]
        image = geotiff.decode_layers(content, what=f"chip {self.chip['chip_id']}")
        if len(image.layers) == 1 and image.layers[0].is_plain:
            return content
        raster = geotiff.physical(image)
        return geotiff.encode(raster.pixels, raster.bands, Affine(*self.chip["transform"]), self.chip["crs"])

    @property
    def sensor(self) -> Sensor:
        """That took it."""
        return known_sensor(self.chip["sensor"])


class Source:
    """A built data set: its conversations, chips and split."""

    def __init__(self, data: Path, sensors: Sequence[str] = (), splits: Sequence[str] = SPLITS) -> None:
        """Find what there is.

        Args:
            data: folder of the data set, with qa, chips, split and labels.
            sensors: the ones that leave; all of them if none is given.
            splits: the sides of the split that leave.

        Raises:
            MissingInputError: a stage has not run.
            ExchangeError: a sensor or a split is asked for that the data set does not have.
        """
        found = sorted(tables_of(data))
        if not found:
            raise MissingInputError(f"{data / 'qa'} holds no conversations; run `dvc repro` to make them")
        there = list(dict.fromkeys(path.parts[-3] for path in found))
        for asked, known, flag in ((sensors, there, "--sensor"), (splits, SPLITS, "--split")):
            if strange := [name for name in asked if name not in known]:
                raise ExchangeError(f"{flag} {strange[0]}: the data set has {', '.join(known)}")
        self.data = data
        self.splits = tuple(name for name in SPLITS if name in splits)
        self.sensors = [name for name in there if name in sensors or not sensors]
        self.paths = [path for path in found if path.parts[-3] in self.sensors]
        table = tables.read(data / "split" / "assignment.parquet", ["chip_id", "split"])
        self.sides: dict[str, str] = dict(zip(table["chip_id"].to_pylist(), table["split"].to_pylist(), strict=True))
        self.left_out: dict[str, int] = {}
        marks = data / "blind" / "marks.json"
        self.marked = frozenset(read_json(marks)["marked"]) if marks.is_file() else None

    def chips(self, add_left_out: AddRow) -> Iterator[Shown]:
        """Every chip that leaves, in the order of the tables; what does not is handed to `add_left_out`.

        Raises:
            DamagedFileError: the stages' tables do not fit each other.
        """
        for path in self.paths:
            part = path.parts[-2]
            shards = ChipSource(self.data / "chips" / path.parts[-3] / part, chip_schema.SCHEMA.names)
            seen: set[str] = set()
            for chip_id, rows in itertools.groupby(rows_of(path, CONVERSATION), key=lambda row: str(row["chip_id"])):
                if chip_id in seen:
                    raise DamagedFileError(f"{path}: chip {chip_id} stands in two places; rebuild stage `qa`")
                seen.add(chip_id)
                side = self.sides.get(chip_id)
                if side is None:
                    raise MissingInputError(f"chip {chip_id} is on no side of the split; rebuild stage `split`")
                if side not in self.splits:
                    self.leave(add_left_out, list(rows), side)
                    continue
                shown = _shown(chip_id, list(rows), side, part, shards, self.marked)
                for row in shown[1]:
                    detail = "the conversation shows several images, and a chip has one rendering"
                    self.leave(add_left_out, [row], "several-images", detail)
                if shown[0].talks:
                    yield shown[0]

    def leave(self, add: AddRow, rows: Sequence[Mapping[str, Any]], reason: str, detail: str = "") -> None:
        """Count conversations that do not leave, and give `add` a row of each.

        Args:
            add: takes the rows.
            rows: of the conversations.
            reason: a code, or the side of the split that they are on.
            detail: in words; of a side it is known.
        """
        if not detail:
            between = "the chip lies between two sides of the geographic split"
            detail = between if reason == "buffer" else f"the export was not asked for the side '{reason}'"
        for row in rows:
            self.left_out[reason] = self.left_out.get(reason, 0) + 1
            add({"chip_id": row["chip_id"], "conversation_id": row["conversation_id"], "reason": reason,
                 "detail": detail})  # fmt: skip


def tables_of(data: Path) -> Iterator[Path]:
    """The tables of conversations of a data set, one a sensor and part."""
    return (data / "qa").glob("*/*/conversations.parquet")


def rows_of(path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a table in their order."""
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=BATCH, columns=columns):
            yield from batch.to_pylist()


def _shown(
    chip_id: str, rows: list[dict[str, Any]], side: str, part: str, shards: ChipSource, marked: frozenset[str] | None
) -> tuple[Shown, list[dict[str, Any]]]:
    """The chip with the conversations that show one image, and the rows of the others."""
    shown = shown_chip(chip_id, side, part, shards, marked)
    talks, others = [], []
    for row in rows:
        talk = _talk(row, shown.sensor)
        talks.append(talk) if talk else others.append(row)
    return replace(shown, talks=talks), others


def shown_chip(chip_id: str, side: str, part: str, shards: ChipSource, marked: frozenset[str] | None) -> Shown:
    """A chip and its rendering, without conversations."""
    chip = shards.row(chip_id)
    sensor = known_sensor(chip["sensor"])
    raster = geotiff.decode(chip["pixels"], what=f"chip {chip_id}")
    planes = {
        name: plane.astype(np.float32, copy=False) for name, plane in zip(raster.bands, raster.pixels, strict=True)
    }
    picture = renderings(planes, sensor, 1, chip["width"])[0]
    levels = np.frombuffer(picture.levels, np.uint8).reshape(picture.height, picture.width, 3)
    rendering = f"{picture.rendering.rpartition(';')[0]})"  # not its size: these are the chip's own pixels
    return Shown(chip, side, part, shards.shard(chip_id), planes, png.encode(levels), rendering, [], marked)


def turns_of(row: Mapping[str, Any], stage: str) -> list[tuple[str, str]]:
    """The turns of a conversation that a stage wrote.

    Raises:
        DamagedFileError: they are not in EarthDial's schema.
    """
    try:
        return conversations.load(row["conversations"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedFileError(f"conversation {row['conversation_id']}: {error}; rebuild stage `{stage}`") from error


def _talk(row: dict[str, Any], sensor: Sensor) -> Talk | None:
    turns = turns_of(row, "qa")
    head, mark, question = turns[0][0].partition(f"{conversations.IMAGE}\n")
    if not mark or any(conversations.IMAGE in said for turn in [(head, question), *turns[1:]] for said in turn):
        return None
    shown_as = modality_tag(sensor, "rgb" if sensor.rgb else "sar")
    tags = tuple(shown_as if tag == sensor.tag else tag for tag in head.split())
    return Talk([(question, turns[0][1]), *turns[1:]], tags, row)


def flat(shown: Shown, talk: Talk) -> dict[str, Any]:
    """What is known of a conversation and its chip beside text and pixels, as plain columns."""
    chip, row = shown.chip, talk.row
    return {
        "conversation_id": row["conversation_id"],
        "chip_id": chip["chip_id"],
        "sensor": chip["sensor"],
        "platform": chip["platform"],
        "datetime": chip["datetime"].isoformat() if chip["datetime"] else None,
        "crs": chip["crs"],
        "transform": list(chip["transform"]) if chip["transform"] else None,
        "task": row["task"],
        "question_types": [turn["question_type"] for turn in row["turns"]],
        "guessable": guessable(shown.marked, talk),
        "verdicts": [turn["verdict"] for turn in row["turns"]],
        "evidence": [turn["evidence"] for turn in row["turns"]],
        "label_sources": row["label_sources"] or [],
        "generator": row["generator"],
        "model": row["model"],
        "revision": row["revision"],
        "prompt_hash": row["prompt_hash"],
        "rendering": shown.rendering,
    }


def guessable(marked: frozenset[str] | None, talk: Talk) -> list[bool] | None:
    """Of each turn, whether its kind of question is answered without the picture; None where that was not measured."""
    return None if marked is None else [turn["question_type"] in marked for turn in talk.row["turns"]]


def as_line(value: Any) -> str:
    """One line of JSON, the same for the same value."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
