"""Chips to look at: rendered pixels, labels, conversations, and what the model answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.core.data_url import data_url
from tasks.earth import geotiff
from tasks.evaluation.metrics.guesses import BESIDE
from tasks.pages import png
from tasks.pages.sensor_data import SensorData

CONTROL_ANSWERS = {control.column: control.short for control in BESIDE.values()}
"""Columns of predictions: how an answer came about that is no answer to this image."""
MODALITIES = {"rgb": "true colour", "ms": "all bands", "sar": "radar"}
"""How the model was shown a chip."""


@dataclass(frozen=True)
class Rendering:
    """One rendering of a chip."""

    title: str
    bands: str
    uri: str


@dataclass(frozen=True)
class ShownAnswer:
    """What the model said to a question, beside what was said without its image."""

    modality: str
    text: str
    correct: bool
    controls: Sequence[tuple[str, str]]
    """(how, answer) of each control."""


@dataclass(frozen=True)
class ShownTurn:
    """A question with its verified answer."""

    tags: str
    question: str
    answer: str
    question_type: str
    answers: Sequence[ShownAnswer]


@dataclass(frozen=True)
class Card:
    """A chip as the gallery shows it."""

    chip_id: str
    sensor: str
    split: str
    item_id: str
    date: str
    ground: str
    mask: str
    pictures: Sequence[Rendering]
    labels: Sequence[Mapping[str, Any]]
    turns: Sequence[ShownTurn]


def cards(data: SensorData, predictions: pl.DataFrame, count: int) -> list[Card]:
    """Cards of the chosen chips of one sensor."""
    chosen = choose(data, predictions, count)
    rows = data.chip_rows(chosen)
    splits = dict(data.chips.filter(pl.col("chip_id").is_in(chosen)).select("chip_id", "split").iter_rows())
    labels = data.labels_of(chosen).partition_by("chip_id", as_dict=True)
    turns = data.turns_of(chosen).partition_by("chip_id", as_dict=True)
    said = predictions.filter(pl.col("image_id").is_in(chosen))
    out = []
    for chip_id in chosen:
        row = rows[chip_id]
        side = row["width"] * row["transform"][0]
        out.append(
            Card(
                chip_id=chip_id,
                sensor=data.sensor.name,
                split=splits[chip_id],
                item_id=row["item_id"],
                date=f"{row['datetime']:%Y-%m-%d}",
                ground=f"{side:.0f} m, {data.sensor.gsd} m a pixel",
                mask=row["mask_provenance"] or "",
                pictures=render(row["pixels"], data),
                labels=_labels(labels[(chip_id,)]) if (chip_id,) in labels else [],
                turns=_turns(turns[(chip_id,)], said) if (chip_id,) in turns else [],
            )
        )
    return out


def choose(data: SensorData, predictions: pl.DataFrame, count: int) -> list[str]:
    """Chips with questions, the richest of each scene first; two thirds that the model was asked about."""
    asked = set(predictions["image_id"].to_list())
    classes = data.labels.group_by("chip_id").agg(classes=pl.col("label").n_unique()).collect(engine="streaming")
    ranked = (
        data.chips.select("chip_id", "item_id")
        .join(data.questions.select("chip_id", "types"), on="chip_id")
        .join(classes, on="chip_id", how="left")
        .sort(["types", "classes", "chip_id"], descending=[True, True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("item_id"))
        .sort("turn", maintain_order=True)
    )
    tested = [chip for chip in ranked["chip_id"] if chip in asked]
    other = [chip for chip in ranked["chip_id"] if chip not in asked]
    first = tested[: max(count - len(other), -(-2 * count // 3))]
    return [*first, *other[: count - len(first)]]


def _labels(rows: pl.DataFrame) -> list[Mapping[str, Any]]:
    ordered = rows.sort("fraction", "label", descending=[True, False], nulls_last=True)
    return list(ordered.iter_rows(named=True))


def _turns(rows: pl.DataFrame, predictions: pl.DataFrame) -> list[ShownTurn]:
    out = []
    for row in rows.iter_rows(named=True):
        same = predictions.filter((pl.col("image_id") == row["chip_id"]) & (pl.col("question") == row["question"]))
        answers = [
            ShownAnswer(
                MODALITIES.get(p["modality"], p["modality"]),
                p["answer"],
                bool(p["correct"]),
                [(how, p[column]) for column, how in CONTROL_ANSWERS.items() if p.get(column) is not None],
            )
            for p in same.sort("modality").iter_rows(named=True)
        ]
        out.append(ShownTurn(row["tags"], row["question"], row["answer"], row["question_type"], answers))
    return sorted(out, key=lambda turn: not turn.answers)


def render(tiff: bytes, data: SensorData) -> list[Rendering]:
    """The chip in true and false colour; radar as both polarisations and their ratio, and as one alone."""
    shown = None if data.sensor.polarisations else {*(data.sensor.rgb or ()), *(data.sensor.false_colour or ())}
    raster = geotiff.decode(tiff, bands=shown)
    planes = dict(zip(raster.bands, raster.pixels, strict=True))
    if data.sensor.polarisations:
        return _radar(planes, data)
    out = []
    for title, bands in (
        ("True colour", data.sensor.rgb),
        ("SWIR, NIR, red", data.sensor.false_colour),
    ):
        if bands and all(band in planes for band in bands):
            low_high = [_limits(data, band) for band in bands]
            true = title == "True colour"
            picture = colour([planes[b] for b in bands], own_limits([planes[b] for b in bands]) if true else low_high)
            out.append(Rendering(title, " ".join(bands), data_url(png.encode(picture))))
    return out


def _radar(planes: Mapping[str, NDArray[np.float32]], data: SensorData) -> list[Rendering]:
    first = data.sensor.composite_of(list(planes))[0]
    grey = colour([planes[first]] * 3, [_limits(data, first)] * 3)
    alone = Rendering("Backscatter", first, data_url(png.encode(grey)))
    pair = data.sensor.pair_of(list(planes))
    if pair is None:
        return [alone]
    shown = [planes[pair[0]], planes[pair[1]], planes[pair[0]] - planes[pair[1]]]
    false = colour(shown, [_limits(data, name) for name in (*pair, "-".join(pair))])
    title = f"{pair[0]} {pair[1]} {pair[0]}\u2212{pair[1]}"
    return [Rendering("Radar colour", title, data_url(png.encode(false))), alone]


def _limits(data: SensorData, band: str) -> tuple[float, float]:
    """Where black and white lie: the 2nd and 98th percentile of the training chips."""
    found = next(b for b in data.stats["bands"] if b["name"] == band)
    return float(found["p02"]), float(found["p98"])


def own_limits(planes: Sequence[NDArray[np.float32]]) -> list[tuple[float, float]]:
    """From each band's own dark end, which takes the haze out, over one span, so that colours stay true."""
    ends = []
    for plane in planes:
        values = plane[np.isfinite(plane)]
        ends.append(tuple(float(v) for v in np.percentile(values, [1, 99])) if len(values) else (0.0, 1.0))
    span = max(0.05, *(high - low for low, high in ends))
    return [(low, low + span) for low, _ in ends]


def colour(planes: Sequence[NDArray[np.float32]], limits: Sequence[tuple[float, float]]) -> NDArray[np.uint8]:
    """Three planes as a picture [height, width, 4]; pixels without data are transparent."""
    channels = []
    for plane, (low, high) in zip(planes, limits, strict=True):
        scaled = np.clip((plane - low) / max(high - low, 1e-6), 0, 1) ** 0.85
        channels.append(np.round(np.nan_to_num(scaled) * 255).astype(np.uint8))
    opaque = np.all([np.isfinite(plane) for plane in planes], axis=0)
    return np.stack([*channels, np.where(opaque, 255, 0).astype(np.uint8)], axis=-1)
