"""One scene as the stages see it: its item, the assets of its bands, its mask, and what its numbers mean."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pyarrow as pa
import pystac

from tasks.core.errors import SceneError
from tasks.earth import cubes, learned_mask, offset
from tasks.earth.acquisitions import acquisition_of, baseline_of
from tasks.earth.assets import MAX_GSD_RATIO, Asset, find_mask, missing, resolve
from tasks.earth.catalog import Catalog
from tasks.earth.scene_reader import SceneReader
from tasks.earth.sensors import Sensor

RED = 0.665
"""Micrometres."""
RADIOMETRY = pa.schema(
    [
        (name, pa.string())
        for name in ("item_id", "collection", "baseline", "state", "decided_by", "evidence", "claims", "agrees")
    ]
)
"""One row for each scene whose offset had to be decided: what its pixels and what its metadata say."""


@dataclass(frozen=True)
class Scene:
    """A scene that can be read."""

    item: pystac.Item
    name: str
    """Unique among the scenes of a sensor, the item's id wherever that is."""
    sensor: Sensor
    catalog: Catalog
    assets: Mapping[str, Asset]
    """By band name, in the sensor's order, with the scale and offset that are right for their numbers."""
    mask: Asset | None
    """Of its own; None where it has none, as of radar, or where one is made of its bands."""
    verdict: offset.Verdict | None

    @property
    def shown(self) -> Asset:
        """The asset that says where the scene lies and has data: the mask, for radar its first band.

        Of a cube the band nearest to red: its first and last are dark, and in some the air leaves nothing.
        """
        if self.sensor.cube and self.mask is None:
            return min(self.assets.values(), key=lambda asset: abs((asset.wavelength or 0.0) - RED))
        return self.mask or next(iter(self.assets.values()))

    @property
    def learned(self) -> bool:
        """Whether its mask is made by a model: it carries none, and its sensor has one."""
        return self.mask is None and self.sensor.learned_mask is not None

    @property
    def radiometry(self) -> str | None:
        """What is known of the offset in its numbers; None of sensors that never had one."""
        if self.verdict is not None:
            return self.verdict.text
        computed = self.sensor.offset_from_baseline is not None and self.catalog.params.source != "stac"
        return "offset not applied, as the service computes it" if computed else None

    @property
    def mask_provenance(self) -> str:
        """Which mask was asked, and whether it was derived."""
        if self.mask is None:
            own = self.sensor.learned_mask if self.learned else self.sensor.mask
            return f"{own} (derived)" if own else "nodata"
        derived = "derived" in (self.item.assets[self.mask.key].roles or [])
        return f"{self.sensor.mask}{' (derived)' if derived else ''}"

    @cached_property
    def acquisition(self) -> str:
        """The overpass it was taken in: the same in every tile and baseline."""
        return acquisition_of(self.item, self.sensor)

    @property
    def reader(self) -> SceneReader:
        """Reads its pixels."""
        return SceneReader(self.item, self.catalog)

    @property
    def radiometry_row(self) -> dict[str, Any]:
        """Row of `RADIOMETRY`."""
        assert self.verdict is not None
        return {
            "item_id": self.item.id,
            "collection": self.item.collection_id,
            "baseline": baseline_of(self.item),
            "state": self.verdict.state,
            "decided_by": self.verdict.by,
            "evidence": self.verdict.evidence,
            "claims": self.verdict.claims,
            "agrees": "yes" if self.verdict.agrees else "no",
        }


def open_scene(
    item: pystac.Item,
    name: str,
    sensor: Sensor,
    catalog: Catalog,
    max_gsd_ratio: float = MAX_GSD_RATIO,
    collection: Mapping[str, Any] | None = None,
) -> Scene:
    """Find the bands and the mask of an item, and decide what its numbers mean.

    Raises:
        SceneError: a band or the mask is missing, or the offset in the numbers cannot be decided.
        UnreachableError: a server does not answer just now.
    """
    assets = _bands(item, sensor, catalog, collection, max_gsd_ratio)
    mask = find_mask(item, sensor, collection, max_gsd_ratio) if sensor.mask_aliases else None
    learnable = sensor.learned_mask is not None and learned_mask.serves(list(assets), sensor)
    if sensor.mask_aliases and mask is None and not learnable:
        raise SceneError(
            "missing-asset",
            f"scene {item.id} has no quality mask: none of {', '.join(sensor.mask_aliases)} is among its assets "
            f"({', '.join(sorted(item.assets))})",
        )
    # Numbers that Sentinel Hub computes are those we ask for: there is nothing to decide.
    verdict = offset.verdict(item, assets, mask, sensor, catalog) if catalog.params.source == "stac" else None
    if verdict is not None:
        assets = {name: verdict.correct(asset) for name, asset in assets.items()}
    return Scene(item, name, sensor, catalog, assets, mask, verdict)


def assets_of(
    item: pystac.Item,
    sensor: Sensor,
    catalog: Catalog,
    offset_added: float | None,
    collection: Mapping[str, Any] | None,
    ratio: float,
) -> dict[str, Asset]:
    """The assets of a scene that was scanned, by band name, with what was decided of its numbers.

    Args:
        item: the scene.
        sensor: it is of.
        catalog: it is of.
        offset_added: column `offset` of its windows.
        collection: STAC document of its collection.
        ratio: how much coarser than its band's GSD a file may be.

    Raises:
        SceneError: a required band is missing.
        UnreachableError: a server does not answer just now.
    """
    assets = _bands(item, sensor, catalog, collection, ratio)
    if offset_added is None:
        return assets
    return {name: replace(asset, offset=offset_added) for name, asset in assets.items()}


def _bands(
    item: pystac.Item, sensor: Sensor, catalog: Catalog, collection: Mapping[str, Any] | None, ratio: float
) -> dict[str, Asset]:
    """The assets of a scene's bands; those of a hyperspectral file as it says itself."""
    assets = resolve(item, sensor, collection, ratio)
    lacking = missing(item, sensor, list(assets))
    if lacking:
        raise lacking
    return cubes.assets(item, sensor, catalog, collection, ratio) if sensor.cube else assets


def scene_names(items: Sequence[pystac.Item]) -> list[str]:
    """A name for each item that no other has: its id, with its collection where two collections use one id."""
    seen = Counter(item.id for item in items)
    return [item.id if seen[item.id] == 1 else f"{item.id}.{item.collection_id}" for item in items]
