"""Maps of labels: every window in the colour of the source that says most of it, the fuller the more it says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
import pystac
from markupsafe import Markup, escape

from tasks.pages import maps
from tasks.pages.sensor_data import SensorData, counted
from tasks.pages.svg import number

COLOURS = 6
"""Sources of a colour of their own; further ones share the last."""
STEPS = ((2 / 3, "more than two thirds"), (1 / 3, "one to two thirds"), (0.0, "less than a third"))
"""Share of a window that labels cover: above it, and what the map says."""
COUNTED = "counted or named, without a share"


@dataclass(frozen=True)
class LabelMap:
    """A scene's drawing and what stands under it."""

    drawing: Markup
    width: float
    item_id: str
    sensor: str
    labelled: int
    windows: int


def by_window(data: SensorData) -> pl.LazyFrame:
    """Candidate windows with `source`, the one that covers most of a window, and `share`; without derived labels.

    A window that no source labels has null; one that has lines, points and tags alone has the share 0.
    """
    said = (
        data.labels.filter(~pl.col("derived"))
        .with_columns(covered=pl.when(pl.col("kind") == "area").then(pl.col("fraction")).otherwise(0.0))
        .group_by("chip_id", "source")
        .agg(share=pl.col("covered").sum().clip(0.0, 1.0).round(9))
        .sort(["chip_id", "share", "source"], descending=[False, True, False])
        .unique("chip_id", keep="first", maintain_order=True)
    )
    return data.ledger.join(said, on="chip_id", how="left", maintain_order="left")


def sources(sensors: Sequence[SensorData]) -> dict[str, int]:
    """Name of every source that is no reading of the scene's own bands -> number of its colour."""
    names = sorted({name for data in sensors for name, _ in counted(data.labels.filter(~pl.col("derived")), "source")})
    return {name: min(index, COLOURS - 1) for index, name in enumerate(names)}


def draw(sensors: Sequence[SensorData], limit: int) -> list[LabelMap]:
    """Maps of the scenes that have labels of a source, those with most labelled windows first, at most `limit`."""
    colours = sources(sensors)
    found = []
    for data in sensors:
        labelled = dict(counted(by_window(data).filter(pl.col("source").is_not_null()), "item_id"))
        found += [(-labelled[item.id], data.sensor.name, item.id, item, data) for item in data.scenes
                  if item.id in labelled]  # fmt: skip
    found.sort(key=lambda one: one[:3])
    chosen = [item_id for _, _, item_id, *_ in found[:limit]]
    windows = {
        data.sensor.name: by_window(data).filter(pl.col("item_id").is_in(chosen)).collect(engine="streaming")
        for data in sensors
    }
    return [
        _draw(item, data, windows[data.sensor.name].filter(pl.col("item_id") == item.id), colours)
        for *_, item, data in found[:limit]
    ]


def _draw(item: pystac.Item, data: SensorData, windows: pl.DataFrame, colours: Mapping[str, int]) -> LabelMap:
    thumbnail = data.thumbnails.get(item.id)
    epsg, windows, box = maps.ground(windows, thumbnail)
    width, height, scale = maps.size(box)
    body = [f'<rect class="void" width="{number(width)}" height="{number(height)}"/>']
    if thumbnail:
        body.append(maps.picture(thumbnail, epsg, box, scale))
    labelled = windows.filter(pl.col("source").is_not_null())
    for (source, share), rows in labelled.with_columns(step=_step()).group_by("source", "step", maintain_order=True):
        what = COUNTED if share == len(STEPS) else STEPS[int(str(share))][1]
        title = f"<title>{escape(source)}: {what} of the window ({rows.height} labelled)</title>"
        squares = "".join(
            f"M{(left - box[0]) * scale:.1f} {(box[3] - top) * scale:.1f}h{(right - left) * scale:.1f}"
            f"v{(right - left) * scale:.1f}h{(left - right) * scale:.1f}z"
            for left, top, right in rows.select("left", "top", "right").iter_rows()
        )
        body.append(f'<path class="said s{colours[str(source)]} p{share}" d="{squares}">{title}</path>')
    body.append(maps.scale_bar(width, height, scale))
    label = f"Labels of {data.sensor.name} scene {item.id}: {labelled.height} of {windows.height} windows"
    head = f'<svg viewBox="0 0 {number(width)} {number(height)}" role="img" aria-label="{escape(label)}">'
    return LabelMap(
        Markup(f"{head}{''.join(body)}</svg>"), width, item.id, data.sensor.name, labelled.height, windows.height
    )


def _step() -> pl.Expr:
    step = pl.lit(len(STEPS))
    for index, (above, _) in reversed(list(enumerate(STEPS))):
        step = pl.when(pl.col("share") > above).then(index).otherwise(step)
    return step
