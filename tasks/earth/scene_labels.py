"""Labels of one scene's windows: measured from the sources that cover it, or read from its own bands by rules."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import polars as pl
import pystac

from tasks.core.errors import SceneError
from tasks.earth import label_fractions, spectral_rules
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.chip_pixels import read_planes
from tasks.earth.grid import GridParams
from tasks.earth.label_params import LabelsParams
from tasks.earth.label_rows import Measured
from tasks.earth.label_sources import GSD_FACTOR, LabelSource
from tasks.earth.scene import assets_of
from tasks.earth.scene_reader import OpenScene, SceneReader
from tasks.earth.sensors import Sensor


def label_scene(
    item: pystac.Item,
    windows: pl.DataFrame,
    sources: Sequence[LabelSource],
    sensor: Sensor,
    catalog: Catalog,
    params: LabelsParams,
    grid: GridParams,
    collection: Mapping[str, Any] | None,
) -> Measured:
    """What is known of one scene's windows.

    Raises:
        SceneError: a band that spectral rules need cannot be read.
    """
    out = Measured()
    wanted = params.spectral == "always" or (params.spectral == "auto" and not sources)
    by_rules = spectral_rules.bands_of(sensor) if wanted else None
    with ExitStack() as stack:
        for source in sources:
            stack.callback(source.close)
        opened = (
            stack.enter_context(_open_bands(item, windows, sensor, catalog, grid, collection)) if by_rules else None
        )
        lie = opened.lie if opened else None
        for block, members in blocks_of(windows, sensor.window_cells, grid.cell, sensor.gsd, sensor.band_count, lie):
            chip_ids = members["chip_id"].to_list()
            for source in sources:
                out.add(source.measure(block, chip_ids, GSD_FACTOR * sensor.gsd, params.min_fraction))
            if opened and by_rules:
                out.add(_by_rules(item, block, chip_ids, sensor, by_rules, opened, params.min_fraction))
    return out


def _open_bands(
    item: pystac.Item,
    windows: pl.DataFrame,
    sensor: Sensor,
    catalog: Catalog,
    grid: GridParams,
    collection: Mapping[str, Any] | None,
) -> AbstractContextManager[OpenScene]:
    """The bands that spectral rules need."""
    assets = assets_of(item, sensor, catalog, windows["offset"][0], collection, grid.max_gsd_ratio)
    asked = list((spectral_rules.bands_of(sensor) or {}).values())
    if lacking := [band for band in asked if band not in assets]:
        raise SceneError(
            "missing-asset", f"scene {item.id} has no band {', '.join(lacking)}, needed to read land cover"
        )
    return SceneReader(item, catalog).open({band: assets[band] for band in asked})


def _by_rules(
    item: pystac.Item,
    block: Block,
    chip_ids: list[str],
    sensor: Sensor,
    by_rules: Mapping[str, str],
    opened: OpenScene,
    min_fraction: float,
) -> Measured:
    planes = read_planes(opened, list(opened.assets), block.target(GSD_FACTOR * sensor.gsd), sensor)
    found = spectral_rules.classify({name: planes[band] for name, band in by_rules.items()})
    valid = np.logical_or.reduce(list(found.values()))
    when = item.datetime or item.common_metadata.start_datetime
    columns = {"source": spectral_rules.SOURCE, "date": f"{when:%Y-%m-%d}" if when else None, "licence": None}
    rows = label_fractions.planes(
        block, chip_ids, found, valid, min_fraction, of_valid=True, kind="area", derived=True, **columns
    )
    seen = np.flatnonzero(block.sums(valid)).tolist()
    whole = [{"chip_id": chip_ids[index], "source": spectral_rules.SOURCE, "labels": None} for index in seen]
    return Measured(rows, whole)
