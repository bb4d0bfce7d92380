"""What an export is made from, series by series: several images of one window, and the conversations about them.

Both tables are in the order of their series and are read side by side, so nothing is held but the series at hand and
the row groups around its chips.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tasks.core.errors import DamagedFileError
from tasks.core.stage import require
from tasks.dialogue.conversations import IMAGE, TASK_TAGS
from tasks.dialogue.series.facts import sensor_tags
from tasks.earth import chip_schema
from tasks.exchange.exports.source import (
    CONVERSATION,
    AddRow,
    Shown,
    Source,
    Talk,
    guessable,
    rows_of,
    shown_chip,
    turns_of,
)
from tasks.generators.chip_source import ChipSource

PLACE = -3
"""Of the last names of a shard's path: sensor, part, file."""


@dataclass(frozen=True)
class ShownSeries:
    """One series with its conversations."""

    row: Mapping[str, Any]
    """Of series.parquet."""
    images: tuple[Shown, ...]
    """Its chips in the order in which they are shown, without conversations of their own."""
    talks: list[Talk]
    marked: frozenset[str] | None
    """As `tasks.exchange.exports.source.Shown` has it."""

    @property
    def series_id(self) -> str:
        """Its name."""
        return str(self.row["series_id"])

    @property
    def split(self) -> str:
        """Side of the split that all its chips are on."""
        return str(self.row["split"])

    @property
    def sensors(self) -> str:
        """What it is of, such as `sentinel-1+sentinel-2`."""
        return "+".join(sorted({image.chip["sensor"] for image in self.images}))

    @cached_property
    def mark(self) -> str:
        """`<image>` for each image."""
        return " ".join([IMAGE] * len(self.images))


class SeriesSource:
    """The series of a built data set."""

    def __init__(self, source: Source) -> None:
        """Of a data set that is exported: its sides and sensors, and where counts of what is left out are kept."""
        self.source, self.folder = source, source.data / "series"
        self._chips: dict[tuple[str, str], ChipSource] = {}

    def series(self, add_left_out: AddRow) -> Iterator[ShownSeries]:
        """Every series that leaves, in the order of the tables; what does not is handed to `add_left_out`.

        Raises:
            MissingInputError: stage `series` has not run.
            DamagedFileError: its tables do not fit each other.
        """
        for row, talks in self._told():
            strange = [one["sensor"] for one in row["images"] if one["sensor"] not in self.source.sensors]
            if row["split"] not in self.source.splits:
                self.source.leave(add_left_out, talks, row["split"])
            elif strange:
                detail = f"an image of the series is of {strange[0]}, which --sensor does not name"
                self.source.leave(add_left_out, talks, "sensor", detail)
            else:
                images = tuple(self._image(one, row["split"]) for one in row["images"])
                yield ShownSeries(row, images, [_talk(talk, row["images"]) for talk in talks], self.source.marked)

    def leave_all(self, add_left_out: AddRow, form: str) -> None:
        """Hand every conversation to `add_left_out`, for a layout that has no place for several images."""
        detail = f"the conversation shows several images, and a row of the layout '{form}' has one"
        for _, talks in self._told():
            self.source.leave(add_left_out, talks, "several-images", detail)

    def _told(self) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Rows of series.parquet that have conversations, with these."""
        talks = rows_of(require(self.folder / "conversations.parquet"), CONVERSATION)
        talk = next(talks, None)
        for row in rows_of(require(self.folder / "series.parquet")):
            mine = []
            while talk is not None and talk["chip_id"] == row["series_id"]:
                mine.append(talk)
                talk = next(talks, None)
            if mine:
                yield row, mine
        if talk is not None:
            raise DamagedFileError(
                f"{self.folder} has questions about series {talk['chip_id']} and no such series, or two orders; "
                "rebuild stage `series`"
            )

    def _image(self, image: Mapping[str, Any], side: str) -> Shown:
        sensor, part, _ = Path(image["shard"]).parts[PLACE:]
        if (sensor, part) not in self._chips:
            folder = self.source.data / "chips" / sensor / part
            self._chips[sensor, part] = ChipSource(folder, chip_schema.SCHEMA.names)
        return shown_chip(image["chip_id"], side, part, self._chips[sensor, part], self.source.marked)


def _talk(row: dict[str, Any], images: Sequence[Mapping[str, Any]]) -> Talk:
    turns = turns_of(row, "series")
    head, _, question = turns[0][0].partition("\n")
    if head.split().count(IMAGE) != len(images):
        raise DamagedFileError(
            f"conversation {row['conversation_id']} shows {head.split().count(IMAGE)} images, its series has "
            f"{len(images)}; rebuild stage `series`"
        )
    tasks = [tag for tag in head.split() if tag in TASK_TAGS]
    tags = (*tasks, *sensor_tags([image["sensor"] for image in images], rgb=True))
    return Talk([(question, turns[0][1]), *turns[1:]], tags, row)


def flat_series(shown: ShownSeries, talk: Talk) -> dict[str, Any]:
    """As `tasks.exchange.exports.source.flat`: what is known of a conversation and of its series, as plain columns."""
    chips = [image.chip for image in shown.images]
    row, series = talk.row, shown.row
    return {
        "conversation_id": row["conversation_id"],
        "series_id": shown.series_id,
        "kind": series["kind"],
        "rule": series["rule"],
        "days": series["days"],
        "chip_ids": [chip["chip_id"] for chip in chips],
        "sensors": [chip["sensor"] for chip in chips],
        "platforms": [chip["platform"] for chip in chips],
        "datetimes": [chip["datetime"].isoformat() if chip["datetime"] else None for chip in chips],
        "crs": chips[0]["crs"],
        "transform": list(chips[0]["transform"]) if chips[0]["transform"] else None,
        "task": row["task"],
        "question_types": [turn["question_type"] for turn in row["turns"]],
        "guessable": guessable(shown.marked, talk),
        "verdicts": [turn["verdict"] for turn in row["turns"]],
        "evidence": [turn["evidence"] for turn in row["turns"]],
        "generator": row["generator"],
        "prompt_hash": row["prompt_hash"],
        "renderings": [image.rendering for image in shown.images],
    }
