"""Reading one label item in the windows of a block: features through OGR, rasters through the same reads as scenes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pystac
import shapely
from numpy.typing import NDArray
from pydantic import Field, model_validator
from pyproj import Transformer

from tasks.core.errors import SceneError
from tasks.core.section import Section
from tasks.earth import label_fractions
from tasks.earth.blocks import Block
from tasks.earth.catalog import Catalog
from tasks.earth.faults import fault
from tasks.earth.raster import find_asset, open_asset, read_onto

Kind = Literal["polygon", "tag", "raster"]
GSD_FACTOR = 2
"""Labels are measured at twice the sensor's GSD: a quarter of the pixels, a thousand a window."""


class SourceParams(Section):
    """One label source, by the name of its collection in the catalog."""

    kind: Kind = Field(description="polygon: areas; tag: holds somewhere within a footprint; raster: classes by value")
    asset: str | None = Field(None, description="asset with the features, for polygon and tag")
    attribute: str = Field("class", description="attribute of a feature that names its class")
    rasters: dict[str, dict[str, tuple[float, float]]] = Field(
        default_factory=dict, description="for raster: asset -> class -> values from (included) to (excluded)"
    )
    change: list[str] = Field(default_factory=list, description="classes that say what changed, not what is there")
    rename: dict[str, str] = Field(default_factory=dict, description="class of the source -> label")
    complete: bool = Field(description="whether a class that is not named is not there; OSM is not complete")

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> "SourceParams":
        if (self.kind == "raster") != bool(self.rasters) or (self.kind == "raster") == bool(self.asset):
            raise ValueError("a raster source needs 'rasters', every other kind needs 'asset'")
        return self


@dataclass
class LabelSource:
    """One label item of a source, opened for the blocks of one scene."""

    item: pystac.Item
    name: str
    params: SourceParams
    catalog: Catalog

    def measure(self, block: Block, chip_ids: Sequence[str], gsd: float, min_fraction: float) -> list[dict[str, Any]]:
        """Rows of `label_fractions.SCHEMA` for the windows of a block.

        Raises:
            SceneError: the label asset is missing or cannot be read.
        """
        common: dict[str, Any] = {"source": self.name, "derived": False}
        if self.params.kind == "raster":
            return self._rasters(block, chip_ids, gsd, min_fraction, common)
        features, labels = self._features(block)
        if not len(features):
            return []
        if self.params.kind == "tag":
            return label_fractions.tags(block, chip_ids, features, labels, kind="tag", **common)
        return label_fractions.polygons(block, chip_ids, features, labels, min_fraction, kind="area", **common)

    def _rasters(
        self, block: Block, chip_ids: Sequence[str], gsd: float, min_fraction: float, common: dict[str, Any]
    ) -> list[dict[str, Any]]:
        rows = []
        kinds = dict.fromkeys(self.params.change, "change")
        for key, classes in self.params.rasters.items():
            asset = find_asset(self.item, (key,))
            if asset is None:
                raise SceneError("missing-asset", f"label item {self.item.id} has no asset '{key}'")
            with open_asset(asset, self.catalog) as dataset:
                values, valid = read_onto(dataset, block.target(gsd), asset.nodata)
            found = {name: (values >= low) & (values < high) for name, (low, high) in classes.items()}
            rows += label_fractions.planes(block, chip_ids, found, valid, min_fraction, kind=kinds, **common)
        return rows

    def _features(self, block: Block) -> tuple[NDArray[Any], NDArray[np.str_]]:
        """Features near the block, in its metres, with their labels."""
        import pyogrio.errors  # here, for it brings geopandas with it, and most who import this module read no features

        asset = self.item.assets.get(self.params.asset or "")
        if asset is None:
            raise SceneError("missing-asset", f"label item {self.item.id} has no asset '{self.params.asset}'")
        target = block.target(block.grid.size)
        to_metres = Transformer.from_crs(4326, target.epsg, always_xy=True)
        right, bottom = target.left + target.width * target.gsd, target.top - target.height * target.gsd
        box = to_metres.transform_bounds(target.left, bottom, right, target.top, direction="INVERSE")
        url = self.catalog.vsi(asset.href)
        try:
            meta, _, geometry, fields = pyogrio.raw.read(url, columns=[self.params.attribute], bbox=tuple(box))
        except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, ValueError) as error:
            raise fault(error, f"label item {self.item.id}, asset {self.params.asset}", url) from error
        if self.params.attribute not in meta["fields"]:
            raise SceneError("missing-attribute", f"label item {self.item.id}: no attribute '{self.params.attribute}'")
        crs = meta["crs"]
        own = Transformer.from_crs(crs, target.epsg, always_xy=True)
        shapes = shapely.transform(
            shapely.from_wkb(geometry), lambda xy: np.stack(own.transform(xy[:, 0], xy[:, 1]), axis=1)
        )
        names = [self.params.rename.get(str(name), str(name)) for name in fields[0]]
        return shapely.make_valid(shapes), np.array(names, dtype=str)


def vocabulary(params: SourceParams, seen: Sequence[str]) -> list[str]:
    """All labels a source can give: a raster's classes, otherwise those seen."""
    known = {name for classes in params.rasters.values() for name in classes}
    return sorted(known or set(seen))
