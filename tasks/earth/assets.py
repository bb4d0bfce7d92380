"""Which band of which file of a scene is which band of a sensor, and what its numbers mean.

Catalogs name assets by band number, by common name, by product, or hold all bands in one file. A band is looked for by
asset key, then by declared band name, then by common name, then by title; an asset that declares itself to be another
band is never taken. What the item does not say of the numbers is taken from its collection, then from the table of
products in `sensors.toml`.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pystac

from tasks.core.errors import SceneError
from tasks.earth.asset_bands import (
    Candidate,
    best,
    candidates_of,
    matching,
    names_of,
    number,
    of_whole_files,
    places_of,
    platform_of,
)
from tasks.earth.masks import SEVERAL_BANDS
from tasks.earth.radiometry import Stored, canonical_unit
from tasks.earth.sensor_parts import Band, Product
from tasks.earth.sensors import Sensor
from tasks.earth.stores import store_of

PRODUCT_FIELDS = {"product_uri", "product_type", "correction"}
"""Properties, whatever their prefix, that say which product an item is of."""
MAX_GSD_RATIO = 2.1
"""Level-2A offers bands of 10 m at 20 m too, the same measurement less sharp; what is coarser is a preview."""
CUBE = "cube"
"""Under which `resolve` gives the file of a hyperspectral sensor, whose bands `tasks.earth.hyperspectral` tells."""


@dataclass(frozen=True)
class Asset:
    """One band of one scene, as its item describes it: physical value = number * scale + offset."""

    item_id: str
    key: str
    href: str
    nodata: float | None = None
    """Declared by the item or its collection; the file's own mask and value come first."""
    scale: float = 1.0
    offset: float = 0.0
    declared_offset: float | None = None
    """As item or collection say it; None where they are silent."""
    assumed: bool = False
    """Whether scale and offset are those of the product's whole numbers, since nobody declared any."""
    unit: str | None = None
    band: int | None = 1
    """Number of the band in the file, from 1; None: found by `names` among the descriptions in the file."""
    names: tuple[str, ...] = ()
    """What the band may be called in the file."""
    coarsest: float | None = None
    """Metres that a pixel of the file may be wide at most; None where any will do."""
    fill: float | None = None
    """The sensor's fill value: among whole numbers no measurement, whatever else is declared."""
    no_data_in_all: bool = False
    """Whether no-data and fill values count only where all bands of the file have them."""
    places: tuple[tuple[int, int], ...] = ()
    """(bands of a file, number of this one): where it is in a file of as many bands that names none."""
    measured: frozenset[int] = frozenset()
    """Numbers of the file's bands that the item calls measurements: none of them is a mask, whatever the file says."""
    wavelength: float | None = None
    """Centre in micrometres, of a band that is read from its file and not from the table of sensors."""
    annotation: tuple[str, str | None] | None = None
    """Hrefs of the calibration and noise annotation of a Sentinel-1 band."""
    requester_pays: bool = False
    region: str | None = None

    @property
    def stored(self) -> Stored:
        """What is declared of its numbers."""
        return Stored(self.scale, self.offset, self.unit)


def resolve(
    item: pystac.Item, sensor: Sensor, collection: Mapping[str, Any] | None = None, max_gsd_ratio: float = MAX_GSD_RATIO
) -> dict[str, Asset]:
    """The assets of the bands that a scene has, by band name, in the sensor's order.

    Args:
        item: the scene.
        sensor: it is of.
        collection: STAC document of the item's collection, for what the item does not say.
        max_gsd_ratio: how much coarser than its band's GSD a file may be.
    """
    if sensor.cube:
        cube = bands_of_cube(item, sensor, collection, max_gsd_ratio)
        return {CUBE: cube[0][0]} if cube else {}
    candidates = of_whole_files(list(candidates_of(item, collection or {}, sensor.files)), sensor)
    found = {band.name: best(candidates, band, names_of(band, item, sensor), sensor) for band in sensor.bands}
    assets = {}
    for band in sensor.bands:
        candidate = found[band.name]
        if candidate is None:
            continue
        asset = _asset(item, candidate, band, sensor, _product(item, band, sensor, candidate))
        if asset is not None:
            assets[band.name] = replace(
                asset,
                band=asset.band if candidate.named or not sensor.files else None,
                coarsest=band.gsd * max_gsd_ratio,
                fill=sensor.nodata,
                no_data_in_all=sensor.nodata_in_all,
                places=places_of(band.name, sensor) if sensor.files else (),
            )
    return {name: replace(asset, measured=_measured(asset, assets)) for name, asset in assets.items()}


def bands_of_cube(
    item: pystac.Item, sensor: Sensor, collection: Mapping[str, Any] | None, max_gsd_ratio: float
) -> list[tuple[Asset, Mapping[str, Any]]]:
    """The bands of a hyperspectral file as its item describes them, one alone where it does not; none without a file.

    Returns:
        Each as an asset, and what is said of it.
    """
    candidates = list(candidates_of(item, collection or {}, sensor.cube))
    keys = matching(sensor.cube, list(dict.fromkeys(c.key for c in candidates)))[:1]
    whole = Band(CUBE, CUBE, 0.0, sensor.gsd)
    out: list[tuple[Asset, Mapping[str, Any]]] = []
    for candidate in (c for c in candidates if c.key in keys):
        asset = _described(item, candidate, _product(item, whole, sensor, candidate), ())
        asset = replace(asset, coarsest=sensor.gsd * max_gsd_ratio, fill=sensor.nodata)
        out.append((asset, {**candidate.inherited, **candidate.fields}))
    return out


def _measured(asset: Asset, assets: Mapping[str, Asset]) -> frozenset[int]:
    return frozenset(other.band for other in assets.values() if other.href == asset.href and other.band is not None)


def find_mask(
    item: pystac.Item, sensor: Sensor, collection: Mapping[str, Any] | None = None, max_gsd_ratio: float = MAX_GSD_RATIO
) -> Asset | None:
    """The asset of a scene's quality mask; None if it has none."""
    wanted = Band("mask", "mask", 0.0, sensor.mask_gsd or sensor.gsd, sensor.mask_aliases)
    names = tuple(alias.lower() for alias in sensor.mask_aliases)
    candidates = list(candidates_of(item, collection or {}))
    several = sensor.mask in SEVERAL_BANDS
    candidate = None if several else best(candidates, wanted, names, sensor)
    if candidate is None:
        keys = matching(sensor.mask_aliases, [c.key for c in candidates])
        candidate = next((c for c in candidates if c.key in keys), None)
    if candidate is None:
        return None
    # Which bands of several are read, `tasks.earth.masks` says.
    asset = _described(item, candidate, None, names)
    if several:
        asset = replace(asset, band=1, names=())
    coarsest = (sensor.mask_gsd or sensor.gsd) * max_gsd_ratio
    return replace(asset, scale=1.0, offset=0.0, unit=None, coarsest=coarsest)


def find_named(item: pystac.Item, key: str, collection: Mapping[str, Any] | None = None) -> Asset | None:
    """The asset under one key, with what is declared of its numbers; None if there is none."""
    candidate = next((c for c in candidates_of(item, collection or {}) if c.key == key and c.index == 0), None)
    if candidate is None:
        return None
    return _described(item, candidate, None, ())


def required_bands(item: pystac.Item, sensor: Sensor, found: Sequence[str]) -> list[str]:
    """The bands that a scene must have: those its platform has, of a radar those of the pair it was flown in."""
    own = sensor.pair_of(found)
    if own:
        return list(own)
    if sensor.polarisations and any(first in found for first, _ in sensor.polarisations[1:]):
        return [first for first, _ in sensor.polarisations if first in found]
    platform = platform_of(item, sensor)
    return [
        band.name
        for band in sensor.bands
        if band.required and not (band.absent_from and re.search(band.absent_from, platform, re.IGNORECASE))
    ]


def missing(item: pystac.Item, sensor: Sensor, found: Sequence[str]) -> SceneError | None:
    """The error for the first required band that is not among `found`; None if all are there."""
    if sensor.cube and not found:
        return SceneError(
            "missing-asset",
            f"scene {item.id} has no file of its bands: none of {', '.join(sensor.cube)} is among its assets "
            f"({', '.join(sorted(item.assets))})",
        )
    for name in required_bands(item, sensor, found):
        if name not in found:
            return SceneError(
                "missing-asset",
                f"scene {item.id} has no band {name}: none of {', '.join(sensor.band(name).aliases)} is among its "
                f"assets ({', '.join(sorted(item.assets))})",
            )
    return None


def product_text(item: pystac.Item) -> str:
    """What an item says of its product, on one line each: id, product name, type, collection."""
    declared = [value for name, value in item.properties.items() if name.rpartition(":")[2] in PRODUCT_FIELDS]
    return "\n".join(str(one) for one in (item.id, *declared, item.collection_id) if one)


def _product(item: pystac.Item, band: Band, sensor: Sensor, candidate: Candidate) -> Product | None:
    text = f"{product_text(item)}\n{candidate.key}"
    return next(
        (
            product
            for product in sensor.products
            if product.unit == band.unit and re.search(product.ids, text, re.IGNORECASE | re.MULTILINE)
        ),
        None,
    )


def _asset(
    item: pystac.Item, candidate: Candidate, band: Band, sensor: Sensor, product: Product | None
) -> Asset | None:
    asset = _described(item, candidate, product, names_of(band, item, sensor))
    # A band in a unit of its own is that only where the numbers are: thermal infrared as counts is no temperature.
    declared = canonical_unit(candidate.field("unit")) == band.unit
    if band.unit and not (declared or (product and math.isclose(asset.scale, product.scale))):
        return None
    if product and product.annotation == "safe" and asset.unit is None:
        asset = replace(asset, annotation=_annotation(item, candidate.key, band))
    return asset


def _described(item: pystac.Item, candidate: Candidate, product: Product | None, names: tuple[str, ...]) -> Asset:
    scale, offset = number(candidate.field("scale")), number(candidate.field("offset"))
    unit = canonical_unit(candidate.field("unit"))
    # A scale of one is what templates write where nobody filled them in: it says no more than none.
    silent = scale in (None, 1.0) and offset in (None, 0.0)
    store = store_of(item, candidate.asset)
    described_bands = candidate.fields or candidate.inherited
    return Asset(
        item_id=item.id,
        key=candidate.key,
        href=candidate.asset.href,
        nodata=number(candidate.field("nodata")),
        scale=(product.scale if product and silent else scale) or 1.0,
        offset=(product.offset if product and silent else offset) or 0.0,
        assumed=product is not None and silent,
        declared_offset=None if silent else offset or 0.0,
        unit=unit or (product.unit_of_numbers if product else None) or (product.unit if product else None),
        band=candidate.index + 1 if described_bands or not names else None,
        names=names,
        requester_pays=store.requester_pays,
        region=store.region,
    )


def _annotation(item: pystac.Item, key: str, band: Band) -> tuple[str, str | None] | None:
    """Hrefs of calibration and noise of a band: assets such as `schema-calibration-vv` and `schema-noise-vv`."""
    by_key = {name.lower(): asset.href for name, asset in item.assets.items()}
    calibration = by_key.get(f"schema-calibration-{band.common_name}") or by_key.get(f"calibration-{key.lower()}")
    noise = by_key.get(f"schema-noise-{band.common_name}") or by_key.get(f"noise-{key.lower()}")
    return (calibration, noise) if calibration else None
