"""The report's series: images of one window side by side, what is asked of them, and what the released model answered.

Of the data set only the tables of series are read, and the row groups that hold the chips that are shown.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.stage import require
from tasks.dialogue.series.facts import PARTS, SeriesFacts, scale_of
from tasks.dialogue.series.reading import said
from tasks.pages.gallery import CONTROL_ANSWERS, MODALITIES, Rendering, ShownAnswer, ShownTurn, render
from tasks.pages.report_data import ReportData
from tasks.vlm.chip_reader import ShardReader
from tasks.vlm.samples import ImageRef

TAGS = re.compile(r"(?s)^(.*?)<image>")


@dataclass(frozen=True)
class ShownImage:
    """One image of a strip."""

    sensor: str
    date: str
    picture: Rendering


@dataclass(frozen=True)
class Third:
    """A third of the window in each direction, as the change of one quantity shades it."""

    name: str
    text: str
    shade: int
    """-100 to 100."""


@dataclass(frozen=True)
class SeriesCard:
    """A series as the page shows it."""

    series_id: str
    rule: str
    split: str
    days: str
    images: Sequence[ShownImage]
    changes: Sequence[tuple[str, Sequence[Third]]]
    """(quantity, its change in each third), of dates of one sensor."""
    turns: Sequence[ShownTurn]


def context(data: ReportData, count: int) -> Mapping[str, Any]:
    """What the section shows: counts of each rule, and up to `count` series of it."""
    table = pl.scan_parquet(require(paths.series() / "series.parquet"))
    dropped = pl.scan_parquet(require(paths.series() / "dropped.parquet"))
    rules = list(data.params.get("series", {}).get("rules", {}))
    found = dict(table.group_by("rule").len().collect().iter_rows())
    reasons = dropped.group_by("rule", "reason").len().sort("rule", "reason").collect()
    return {
        "rules": [
            (name, found.get(name, 0), [tuple(row) for row in reasons.filter(rule=name).drop("rule").iter_rows()])
            for name in rules
        ],
        "cards": [card for name in rules for card in _cards(data, name, count)],
    }


def _cards(data: ReportData, rule: str, count: int) -> Iterator[SeriesCard]:
    rows = _chosen(rule, count)
    talks = _talks([row["series_id"] for row in rows])
    reader, sensors = ShardReader(), {one.sensor.name: one for one in data.sensors}
    for row in rows:
        mine = talks.get(row["series_id"], [])
        images = []
        for image in row["images"]:
            ref = ImageRef(image["shard"], image["chip_id"], image["sensor"], "", (), 0, 0, image["datetime"])
            pictures = render(reader.content(ref), sensors[image["sensor"]])
            images.append(ShownImage(image["sensor"], f"{image['datetime']:%Y-%m-%d}", pictures[0]))
        yield SeriesCard(
            series_id=row["series_id"],
            rule=rule,
            split=row["split"],
            days=f"{row['days']:.0f} days" if row["days"] >= 1 else f"{24 * row['days']:.0f} hours",
            images=images,
            changes=_changes(SeriesFacts.from_json(mine[0]["facts"])) if mine else [],
            turns=[turn for talk in mine for turn in _turns(talk, data.predictions)],
        )


def _chosen(rule: str, count: int) -> list[dict[str, Any]]:
    """Series of a rule: those with most kinds of question, test first, from windows that are not side by side."""
    asked = pl.scan_parquet(require(paths.series() / "conversations.parquet")).select(
        series_id="chip_id", kind=pl.col("turns").list.first().struct.field("question_type")
    )
    kinds = asked.group_by("series_id").agg(kinds=pl.col("kind").n_unique())
    rank = pl.col("split").replace_strict({"test": 0, "val": 1, "train": 2}, default=3)
    best = (
        pl.scan_parquet(paths.series() / "series.parquet")
        .filter(pl.col("rule") == rule)
        .join(kinds, on="series_id", how="left")
        .sort(rank, pl.col("kinds").fill_null(0), "series_id", descending=[False, True, False])
        .head(count)
        .collect()
    )
    return best.to_dicts()


def _talks(series: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    if not series:  # no value to look for has no type
        return {}
    path = paths.series() / "conversations.parquet"
    columns = ["conversation_id", "chip_id", "conversations", "turns", "facts"]
    with tables.whole(path):
        rows = pq.read_table(path, columns=columns, filters=[("chip_id", "in", list(series))]).to_pylist()
    out: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        out.setdefault(row["chip_id"], []).append(row)
    return out


def _changes(facts: SeriesFacts) -> list[tuple[str, list[Third]]]:
    out = []
    for quantity in facts.shared:
        values = facts.thirds(-1, quantity, less=0)
        if values is None or np.isnan(values).any():
            continue
        clear = 3 * scale_of(quantity).clear
        shades = np.clip(100 * values / clear, -100, 100).round().astype(int).tolist()
        # Of backscatter decibels, of land cover and the index hundredths.
        texts = [f"{value:+.1f}" if abs(clear) > 1 else f"{100 * value:+.0f}" for value in values.tolist()]
        thirds = [Third(*one) for one in zip(PARTS, (t.replace("-", "\u2212") for t in texts), shades, strict=True)]
        out.append((f"{said(quantity)}, {'dB' if clear > 1 else 'hundredths'}", thirds))
    # Those that changed most, where there are many.
    return sorted(out, key=lambda one: -max(abs(third.shade) for third in one[1]))[:2]


def _turns(talk: Mapping[str, Any], predictions: pl.DataFrame) -> Iterator[ShownTurn]:
    tags = TAGS.search(talk["conversations"].partition('"value": "')[2])
    asked = predictions.filter(pl.col("id").str.starts_with(f"{talk['conversation_id']}/"))
    for number, turn in enumerate(talk["turns"]):
        answers = [
            ShownAnswer(
                MODALITIES.get(row["modality"], row["modality"]),
                row["answer"],
                bool(row["correct"]),
                [(how, row[column]) for column, how in CONTROL_ANSWERS.items() if row.get(column) is not None],
            )
            for row in asked.filter(pl.col("id").str.ends_with(f" turn {number}")).iter_rows(named=True)
        ]
        shown = tags.group(1).strip() if tags else ""
        yield ShownTurn(shown, turn["question"], turn["answer"], turn["question_type"], answers)
