"""`scan` of one scene as a job: what it depends on, and the files that it leaves."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import shapely

from tasks.core import tables
from tasks.core.fan_out import Job, Make, code_of
from tasks.core.stage import fingerprint, write_json
from tasks.earth.areas import Areas
from tasks.earth.catalog import Catalog
from tasks.earth.conditions import item_boxes, planar
from tasks.earth.grid import GridParams
from tasks.earth.scene import open_scene
from tasks.earth.scene_jobs import CatalogAddress, SceneArgument, scene_key
from tasks.earth.scene_windows import ScanParams, scan_scene
from tasks.earth.sensors import SENSORS

AROUND = 0.5
"""Degrees around a scene's box within which an area can touch its windows: files reach a little beyond the box."""
POLAR = 80.0
"""Latitude beyond which degrees of longitude are too short for that, and all areas count."""
WINDOWS, VERDICT = "windows.parquet", "verdict.json"


@dataclass(frozen=True)
class ScanWork:
    """What the scans of a sensor's scenes have in common."""

    sensor: str
    catalog: CatalogAddress
    grid: GridParams
    params: ScanParams
    module: str = "tasks.earth.scan_jobs"

    @contextmanager
    def opened(self, workers: int) -> Iterator[Make]:
        """A catalog that is open from scene to scene."""
        catalog = self.catalog.opened(workers)

        def make(argument: tuple[SceneArgument, list[bytes]], folder: Path) -> bool:
            scene, shapes = argument
            item = scene.opened(catalog)
            opened = open_scene(
                item, scene.name, SENSORS[self.sensor], catalog, self.grid.max_gsd_ratio, scene.collection
            )
            areas = Areas({"here": np.array(shapely.from_wkb(shapes), dtype=object)})
            tables.write(scan_scene(opened, areas, self.grid, self.params), folder / WINDOWS)
            decided: dict[str, Any] = {}
            if opened.verdict:
                decided = {**opened.radiometry_row, "text": opened.verdict.text}
            write_json(folder / VERDICT, decided)
            return True

        yield make

    def job(
        self,
        item: pystac.Item,
        name: str,
        collections: Mapping[str, Any],
        areas: Areas,
        catalog: Catalog,
    ) -> Job:
        """The scan of one scene. Areas count as far as they lie around it: one elsewhere changes nothing."""
        sensor = SENSORS[self.sensor]
        scene = SceneArgument.of(item, name, sensor, catalog, collections)
        own, known = scene_key(scene, item, sensor, catalog)
        shapes = shapely.to_wkb(around(item, areas)).tolist()
        grid = self.grid.model_dump(exclude={"parts"})
        key = fingerprint(code_of(self.module), own, [shape.hex() for shape in shapes], grid, self.params.model_dump())
        return Job(f"scene {item.id}", key, (scene, shapes), known)


def around(item: pystac.Item, areas: Areas) -> Any:
    """What of the areas lies around a scene: array of shapes in degrees, in order of their bytes."""
    shapes = areas.shapes
    boxes = item_boxes(item)
    if not boxes or any(box[3] > POLAR or box[1] < -POLAR for box in boxes):
        near = shapes
    else:
        wide = [
            box
            for west, south, east, north in boxes
            for box in planar([west - AROUND, south - AROUND, east + AROUND, north + AROUND])
        ]
        place = shapely.union_all(shapely.box(*np.array(wide).T))
        touching = shapes[shapely.intersects(shapes, place)]
        # What lies wholly inside stays as it is, to the last digit.
        near = np.where(shapely.covers(place, touching), touching, shapely.intersection(touching, place))
    return np.array(sorted(set(shapely.get_parts(near).tolist()), key=shapely.to_wkb), dtype=object)
