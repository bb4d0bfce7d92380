"""Chips that an assistant has cut: read from a scene as the stages read them, and kept as GeoTIFF below one folder.

What one is called follows from what was asked for, so that the same request gives the same file and no name comes from
outside.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tasks.assistant.addresses import picture_uris
from tasks.assistant.catalogs import Catalogs, KnownScene
from tasks.assistant.errors import AssistantError, shown
from tasks.assistant.records import Chip
from tasks.assistant.work import Job
from tasks.core.inside import stays_within
from tasks.core.stage import atomic, write_json
from tasks.earth import masks, window_masks
from tasks.earth.assets import Asset
from tasks.earth.blocks import LARGEST_BLOCK
from tasks.earth.chip_pixels import read_planes, to_geotiff
from tasks.earth.composites import composites_of
from tasks.earth.grid import WindowGrid, crs_of, to_lonlat, utm_epsg
from tasks.earth.luminance import LuminanceParams
from tasks.earth.raster import TargetGrid
from tasks.earth.scene import Scene, open_scene
from tasks.earth.sensors import Sensor

LARGEST, SMALLEST = 1024, 16
"""Pixels along a side."""
WINDOW = re.compile(r"(?P<epsg>32[67]\d\d)-(?P<size>\d{2,6})-c(?P<column>-?\d{1,6})-r(?P<row>-?\d{1,6})")
"""Id of a window of the global grid, as `WindowGrid.window_id` writes it."""


@dataclass(frozen=True)
class Cut:
    """What is to be cut."""

    scene: str
    collection: str | None
    catalog: str | None
    lon: float | None
    lat: float | None
    size: int
    window: str | None
    bands: Sequence[str] | None


@dataclass(frozen=True)
class Masked:
    """What the mask says of a chip."""

    shares: dict[str, float | None]
    source: str


class Chips:
    """The chips below a folder, and how new ones are cut."""

    def __init__(
        self, catalogs: Catalogs, folder: Path, most_bytes: int, max_gsd_ratio: float, luminance: LuminanceParams
    ) -> None:
        """A folder of chips, those of earlier servers too.

        Args:
            catalogs: scenes come from.
            folder: everything is written below it.
            most_bytes: of all GeoTIFFs in it; further ones are refused.
            max_gsd_ratio: how much coarser than its band's GSD a file may be.
            luminance: of masks that are made of colours.
        """
        self.catalogs, self.folder, self.most_bytes = catalogs, folder, most_bytes
        self.max_gsd_ratio, self.luminance = max_gsd_ratio, luminance

    def all(self) -> list[Chip]:
        """Every chip that is whole, by id."""
        found = (self.find(path.stem) for path in sorted(self.folder.glob("*.json")))
        return [chip for chip in found if chip is not None]

    def find(self, image: str) -> Chip | None:
        """The chip of that id; None if there is none."""
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,80}", image):
            return None
        record, pixels = (self.folder / f"{image}.{end}" for end in ("json", "tif"))
        if not (record.is_file() and pixels.is_file() and stays_within(self.folder, pixels)):
            return None
        try:
            chip = Chip.model_validate_json(record.read_bytes())
        except (ValidationError, OSError):
            return None  # a file that is not one of these
        return chip if chip.image == image else None

    def path(self, chip: Chip) -> Path:
        """Its GeoTIFF."""
        return self.folder / f"{chip.image}.tif"

    def cut(self, asked: Cut, job: Job) -> Chip:
        """Cut a chip.

        Raises:
            AssistantError: a parameter cannot be met; says which.
            EarthloomError: the scene cannot be read.
        """
        known = self.catalogs.known(asked.scene, asked.collection, asked.catalog)
        target = _target(asked, known.sensor)
        used = sum(path.stat().st_size for path in self.folder.glob("*.tif"))
        if used >= self.most_bytes:
            raise AssistantError(
                f"the chips in {self.folder} take {used / 2**20:.0f} MiB, as many as this server may write; delete "
                "some, or start it with a larger --most-mb"
            )
        with self.catalogs.opened(known.catalog) as catalog:
            name = str(known.item.collection_id)
            document = catalog.collection(name)
            collection = catalog.described({name: document} if document else {}, name)
            scene = open_scene(known.item, known.item.id, known.sensor, catalog, self.max_gsd_ratio, collection)
            bands = _bands(asked.bands, scene)
            _check_size(target, bands)
            pixels = _read(scene, bands, target, job)
            if not np.isfinite(pixels).any():
                west, south, east, north = known.item.bbox or (0, 0, 0, 0)
                raise AssistantError(
                    f"scene {shown(asked.scene)} has no data there; it lies within [{west:.4f}, {south:.4f}, "
                    f"{east:.4f}, {north:.4f}], and may not fill it"
                )
            job.step(len(bands), len(bands) + 1, "its quality mask")
            masked = self._masked(scene, target)
        return self._kept(known, scene, list(bands), target, pixels, masked)

    def _masked(self, scene: Scene, target: TargetGrid) -> Masked:
        with window_masks.open_mask(scene) as opened:
            flags = window_masks.flags(opened, target, scene, self.luminance)
        held = flags[flags & masks.DATA > 0]
        planes = window_masks.planes_of(scene) if held.size else ()
        shares = {
            name: round(float((held & flag > 0).mean()), 6) if name in planes else None
            for name, flag in masks.FLAGS.items()
        }
        return Masked(shares, scene.mask_provenance)

    def _kept(
        self,
        known: KnownScene,
        scene: Scene,
        bands: list[str],
        target: TargetGrid,
        pixels: NDArray[np.float32],
        masked: Masked,
    ) -> Chip:
        """The chip, written."""
        sensor, item = known.sensor, known.item
        half = target.gsd * target.width / 2
        longitude, latitude = to_lonlat(target.epsg).transform(target.left + half, target.top - half)
        same = [known.catalog, item.collection_id, item.id, bands, target.epsg, target.left, target.top, target.width]
        image = f"{sensor.name}-{blake2b(json.dumps(same).encode(), digest_size=8).hexdigest()}"
        held = pixels[np.isfinite(pixels).any(axis=(1, 2))] if sensor.cube else pixels
        when = item.datetime or item.common_metadata.start_datetime
        chip = Chip(
            image=image,
            file=str(self.folder / f"{image}.tif"),
            catalog=known.catalog,
            collection=str(item.collection_id),
            scene=item.id,
            sensor=sensor.name,
            datetime=when.isoformat() if when else "",
            bands=bands,
            unit=sensor.unit,
            gsd=target.gsd,
            crs=crs_of(target.epsg).to_string(),
            transform=list(target.transform)[:6],
            centre=[round(longitude, 6), round(latitude, 6)],
            size=target.width,
            nodata=round(float(np.isnan(held).any(axis=0).mean()), 6),
            masks=masked.shares,
            mask_source=masked.source,
            radiometry=scene.radiometry,
            pictures=picture_uris(image, composites_of(sensor, bands)),
        )
        with atomic(self.path(chip)) as partial:
            partial.write_bytes(to_geotiff(pixels, bands, target.epsg, target.left, target.top, target.gsd))
        write_json(self.folder / f"{image}.json", chip.model_dump(mode="json"))
        return chip


def _target(asked: Cut, sensor: Sensor) -> TargetGrid:
    """The pixels of a chip: on those that the stages cut, whose edges are whole multiples of the GSD."""
    place = asked.lon is not None and asked.lat is not None
    if (asked.window is None) != place or (asked.lon is None) != (asked.lat is None):
        raise AssistantError("give either lon and lat, the middle of the chip in degrees, or the id of a window")
    if asked.window is not None:
        return _window(asked.window, sensor)
    longitude, latitude = np.array([asked.lon]), np.array([asked.lat])
    epsg = int(utm_epsg(longitude, latitude)[0])
    x, y = to_lonlat(epsg).transform(asked.lon, asked.lat, direction="INVERSE")
    left = round(x / sensor.gsd - asked.size / 2) * sensor.gsd
    top = round(y / sensor.gsd + asked.size / 2) * sensor.gsd
    return TargetGrid(epsg, left, top, sensor.gsd, asked.size, asked.size)


def _window(window: str, sensor: Sensor) -> TargetGrid:
    match = WINDOW.fullmatch(window)
    if match is None:
        raise AssistantError(f"window is {shown(window)}; it is written such as 32618-0640-c00645-r06512")
    epsg, size, column, row = (int(part) for part in match.groups())
    grid = WindowGrid(epsg, size)
    side, bounds = grid.pixels(sensor.gsd), grid.bounds(column, row)
    if not SMALLEST <= side <= LARGEST:
        raise AssistantError(f"window {window} has {side} pixels a side, and a chip {SMALLEST} to {LARGEST}")
    return TargetGrid(epsg, bounds.left, bounds.top, size / side, side, side)


def _bands(wanted: Sequence[str] | None, scene: Scene) -> dict[str, Asset]:
    """The bands that are wanted, in the sensor's order."""
    if wanted is None:
        return dict(scene.assets)
    lacking = [name for name in wanted if name not in scene.assets]
    if lacking or not wanted:
        raise AssistantError(f"bands: {shown(lacking)} not among those of the scene: {', '.join(scene.assets)}")
    return {name: asset for name, asset in scene.assets.items() if name in wanted}


def _check_size(target: TargetGrid, bands: dict[str, Asset]) -> None:
    numbers = target.width * target.height * len(bands)
    if numbers > LARGEST_BLOCK:
        raise AssistantError(
            f"size {target.width} with {len(bands)} bands is {numbers / 1e6:.0f} million numbers, "
            f"{LARGEST_BLOCK / 1e6:.0f} at most: name fewer bands, or a smaller size"
        )


def _read(scene: Scene, bands: dict[str, Asset], target: TargetGrid, job: Job) -> NDArray[np.float32]:
    """Calibrated pixels, [bands, size, size], NaN where there is no data."""
    pixels = np.empty((len(bands), target.height, target.width), np.float32)
    job.step(0, len(bands) + 1, "opening the scene")
    with scene.reader.open(bands) as opened:
        for number, name in enumerate(bands):
            pixels[number] = read_planes(opened, [name], target, scene.sensor)[name]
            job.step(number + 1, len(bands) + 1, f"band {name}")
    return pixels
