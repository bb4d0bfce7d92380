"""Labels of one scene's windows: measured from the sources that cover it, or read from its own bands by rules."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pystac

from tasks.core.errors import SceneError
from tasks.earth import label_fractions, spectral_rules
from tasks.earth.assets import Asset
from tasks.earth.blocks import Block, blocks_of
from tasks.earth.catalog import Catalog
from tasks.earth.chip_pixels import read_planes
from tasks.earth.grid import GridParams
from tasks.earth.label_params import LabelsParams
from tasks.earth.label_rows import Measured
from tasks.earth.label_sources import GSD_FACTOR, LabelSource
from tasks.earth.scene import assets_of
from tasks.earth.scene_reader import SceneReader
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
    for block, members in blocks_of(windows, sensor.window_cells, grid.cell, sensor.gsd, sensor.band_count):
        chip_ids = members["chip_id"].to_list()
        for source in sources:
            out.add(source.measure(block, chip_ids, GSD_FACTOR * sensor.gsd, params.min_fraction))
        if by_rules:
            assets = assets_of(item, sensor, catalog, members["offset"][0], collection, grid.max_gsd_ratio)
            out.add(_by_rules(item, block, chip_ids, sensor, by_rules, assets, catalog, params.min_fraction))
    return out


def _by_rules(
    item: pystac.Item,
    block: Block,
    chip_ids: list[str],
    sensor: Sensor,
    by_rules: Mapping[str, str],
    assets: Mapping[str, Asset],
    catalog: Catalog,
    min_fraction: float,
) -> Measured:
    wanted = {band: assets[band] for band in by_rules.values() if band in assets}
    if len(wanted) < len(by_rules):
        lacking = ", ".join(band for band in by_rules.values() if band not in wanted)
        raise SceneError("missing-asset", f"scene {item.id} has no band {lacking}, needed to read land cover")
    planes = read_planes(wanted, block.target(GSD_FACTOR * sensor.gsd), sensor, SceneReader(item, catalog))
    bands = {name: planes[band] for name, band in by_rules.items()}
    found = spectral_rules.classify(bands)
    valid = np.logical_or.reduce(list(found.values()))
    when = item.datetime or item.common_metadata.start_datetime
    columns = {"source": spectral_rules.SOURCE, "date": f"{when:%Y-%m-%d}" if when else None, "licence": None}
    rows = label_fractions.planes(
        block, chip_ids, found, valid, min_fraction, of_valid=True, kind="area", derived=True, **columns
    )
    seen = np.flatnonzero(block.cut(valid).any(axis=(1, 2))).tolist()
    whole = [{"chip_id": chip_ids[index], "source": spectral_rules.SOURCE, "labels": None} for index in seen]
    return Measured(rows, whole)
