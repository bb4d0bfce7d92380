"""Maps of scenes: every candidate window in its place on the scene's own picture, by what became of it."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import pystac
import rasterio
from markupsafe import Markup, escape
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_bounds
from rasterio.warp import reproject, transform_bounds

from tasks.core.data_url import data_url
from tasks.pages import png
from tasks.pages.report_data import SPLITS
from tasks.pages.sensor_data import KEPT, SensorData, Thumbnail, counted
from tasks.pages.svg import number, short_number
from tasks.pages.world_map import Site

REASONS = {
    "nodata": "too little data",
    "cloud": "too much cloud",
    "land": "too little land",
    "labels": "too few labels",
    "together": "not all sensors are there",
    "overlap": "same overpass, other tile",
    "near": "too near another date",
    "duplicate": "further date of a place",
}
HATCHED = ("nodata", "cloud", "land", "labels", "duplicate")
"""Those with a hatching of their own in the page's template."""
LOST = "quarantined"
"""A kept window without a chip: its pixels could not be read."""
SIDES = {
    "train": "training",
    "val": "validation",
    "test": "test",
    "buffer": "buffer, set aside",
}
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class SceneMap:
    """A scene's drawing and what stands under it."""

    drawing: Markup
    width: float
    item_id: str
    sensor: str
    date: str
    cloud: str
    candidates: int
    chips: int


@dataclass(frozen=True)
class SiteMaps:
    """A site with the maps of its scenes."""

    site: Site
    maps: Sequence[SceneMap]
    hidden: int
    """Scenes that are not drawn."""


def fates(data: SensorData) -> pl.LazyFrame:
    """The ledger with `fate`: why a window was dropped, else its chip's side, else quarantined."""
    sides = data.chips.lazy().select("chip_id", "split")
    kept = pl.col("verdict") == KEPT
    return data.ledger.join(sides, on="chip_id", how="left", maintain_order="left").with_columns(
        fate=pl.when(kept).then(pl.col("split").fill_null(LOST)).otherwise(pl.col("verdict"))
    )


def draw_sites(sites: Sequence[Site], sensors: Sequence[SensorData], limit: int) -> list[SiteMaps]:
    """Maps of the scenes of every site; beyond `limit` scenes, those with most chips."""
    by_sensor = {data.sensor.name: data for data in sensors}
    scenes = [(name, item.id) for name, data in by_sensor.items() for item in data.scenes]
    kept = {
        (name, item_id): chips
        for name, data in by_sensor.items()
        for item_id, chips in counted(data.ledger.filter(pl.col("verdict") == KEPT), "item_id")
    }
    ranked = sorted(scenes, key=lambda key: (-kept.get(key, 0), key))
    shown = set(ranked[:limit])
    windows = {
        name: fates(data)
        .filter(pl.col("item_id").is_in([item_id for sensor, item_id in shown if sensor == name]))
        .collect(engine="streaming")
        for name, data in by_sensor.items()
    }
    out = []
    for site in sites:
        maps = [
            draw_scene(item, by_sensor[sensor], windows[sensor].filter(pl.col("item_id") == item.id))
            for sensor, item in site.scenes
            if (sensor, item.id) in shown
        ]
        out.append(SiteMaps(site, maps, len(site.scenes) - len(maps)))
    return out


def draw_scene(item: pystac.Item, data: SensorData, windows: pl.DataFrame) -> SceneMap:
    """The scene's picture with its windows: those dropped veiled and hatched by reason, those kept framed."""
    thumbnail = data.thumbnails.get(item.id)
    epsg, windows, box = ground(windows, thumbnail)
    width, height, scale = size(box)
    body = [f'<rect class="void" width="{number(width)}" height="{number(height)}"/>']
    if thumbnail:
        body.append(picture(thumbnail, epsg, box, scale))
    for fate, rows in sorted(windows.group_by("fate"), key=lambda pair: str(pair[0])):
        body.append(_windows(str(fate[0]), rows, box, scale))
    body.append(scale_bar(width, height, scale))
    chips = windows.filter(pl.col("fate").is_in(SPLITS)).height
    when = item.datetime or item.common_metadata.start_datetime
    cloud = item.properties.get("eo:cloud_cover")
    label = f"{data.sensor.name} scene {item.id}: {chips} chips of {windows.height} candidate windows"
    head = f'<svg viewBox="0 0 {number(width)} {number(height)}" role="img" aria-label="{escape(label)}">'
    return SceneMap(
        drawing=Markup(f"{head}{''.join(body)}</svg>"),
        width=width,
        item_id=item.id,
        sensor=data.sensor.name,
        date=f"{when:%Y-%m-%d}" if when else "no date",
        cloud="" if cloud is None else f"{cloud:.0f} % cloud",
        candidates=windows.height,
        chips=chips,
    )


def size(box: Box) -> tuple[float, float, float]:
    """Width and height of the drawing of a box in metres, and units a metre."""
    span = max(box[2] - box[0], box[3] - box[1])
    height = 400.0 if span > 9000 else 250.0 if span > 4000 else 170.0
    scale = height / (box[3] - box[1])
    return (box[2] - box[0]) * scale, height, scale


def ground(windows: pl.DataFrame, thumbnail: Thumbnail | None) -> tuple[int, pl.DataFrame, Box]:
    """The zone a scene is drawn in, its windows there, and the box around them; without any, its picture."""
    if windows.is_empty():
        crs, bounds = (thumbnail.crs, thumbnail.bounds) if thumbnail else ("EPSG:3857", (0.0, 0.0, 1000.0, 1000.0))
        epsg = int(crs.removeprefix("EPSG:"))
        if epsg == 4326:
            epsg, bounds = 3857, transform_bounds(4326, 3857, *bounds)
        return epsg, windows.with_columns(fate=pl.lit("")), bounds
    epsg = int(windows["epsg"].mode().sort()[0])
    windows = windows.filter(pl.col("epsg") == epsg)
    low, high = (
        windows.select("left", "bottom").to_numpy().min(axis=0),
        windows.select("right", "top").to_numpy().max(axis=0),
    )
    return epsg, windows, (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _windows(fate: str, rows: pl.DataFrame, box: Box, scale: float) -> str:
    kept = fate in SPLITS or fate == LOST
    inset = 1.1 if kept else 0.0
    squares = []
    for left, top, right in rows.select("left", "top", "right").iter_rows():
        side = (right - left) * scale - 2 * inset
        x, y = (left - box[0]) * scale + inset, (box[3] - top) * scale + inset
        squares.append(f"M{x:.1f} {y:.1f}h{side:.1f}v{side:.1f}h{-side:.1f}z")
    what = SIDES.get(fate) or (f"dropped: {REASONS.get(fate, fate)}" if not kept else fate)
    title = f"<title>{escape(what)} ({rows.height} windows)</title>"
    d = "".join(squares)
    if kept:
        return f'<path class="kept {escape(fate)}" d="{d}">{title}</path>'
    known = fate if fate in HATCHED else "other"
    hatch = f'<path class="drop {known}" fill="url(#hatch-{known})" d="{d}">{title}</path>'
    return f'<path class="veil" d="{d}"/>{hatch}'


def picture(thumbnail: Thumbnail, epsg: int, box: Box, scale: float) -> str:
    """The preview, where it belongs; warped first if it is not on the windows' zone."""
    content, bounds = thumbnail.path.read_bytes(), thumbnail.bounds
    if thumbnail.crs != f"EPSG:{epsg}":
        content, bounds = _warp(thumbnail, epsg)
    left, bottom, right, top = bounds
    place = (
        f'x="{number((left - box[0]) * scale)}" y="{number((box[3] - top) * scale)}" '
        f'width="{number((right - left) * scale)}" height="{number((top - bottom) * scale)}"'
    )
    return f'<image {place} preserveAspectRatio="none" href="{data_url(content)}"/>'


def _warp(thumbnail: Thumbnail, epsg: int) -> tuple[bytes, Box]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # its bounds are in thumbnails.json
        dataset = rasterio.open(thumbnail.path)
    with dataset:
        picture = dataset.read([1, 2, 3] if dataset.count >= 3 else [1, 1, 1])
    _, rows, columns = picture.shape
    target: Box = transform_bounds(thumbnail.crs, f"EPSG:{epsg}", *thumbnail.bounds)
    out = np.zeros((4, rows, columns), np.uint8)
    reproject(
        np.concatenate([picture, np.full((1, rows, columns), 255, np.uint8)]),
        out,
        src_transform=from_bounds(*thumbnail.bounds, columns, rows),
        src_crs=thumbnail.crs,
        dst_transform=from_bounds(*target, columns, rows),
        dst_crs=f"EPSG:{epsg}",
        resampling=Resampling.bilinear,
    )
    return png.encode(np.ascontiguousarray(np.moveaxis(out, 0, -1))), target


def scale_bar(width: float, height: float, scale: float) -> str:
    """A bar of a round number of metres, at most a third of the drawing."""
    metres = next(m for m in (50_000, 20_000, 10_000, 5_000, 2_000, 1_000, 500, 200, 100) if m * scale <= width * 0.34)
    x, y, length = 10.0, height - 11, metres * scale
    text = f"{short_number(metres / 1000)} km" if metres >= 1000 else f"{metres} m"
    line = f'd="M{x} {y - 4}v4h{number(length)}v-4"'
    label = f'x="{number(x + length + 6)}" y="{number(y + 1)}"'
    return (
        f'<g class="scale"><path class="under" {line}/><path {line}/>'
        f'<text class="under" {label}>{text}</text><text {label}>{text}</text></g>'
    )


def legend(sensors: Sequence[SensorData]) -> list[Mapping[str, object]]:
    """Every fate that windows met, with how many did, kept ones first."""
    counts: dict[str, int] = {}
    for data in sensors:
        for fate, count in counted(fates(data), "fate"):
            counts[fate] = counts.get(fate, 0) + count
    fates_in_order = [*SPLITS, LOST, *REASONS, *sorted(set(counts) - {*SPLITS, LOST, *REASONS})]
    return [
        {
            "fate": fate,
            "kept": fate in SPLITS or fate == LOST,
            "css": fate if fate in HATCHED or fate in SPLITS or fate == LOST else "other",
            "text": SIDES.get(fate) or REASONS.get(fate, fate),
            "count": counts[fate],
        }
        for fate in fates_in_order
        if counts.get(fate)
    ]
