"""Which band of which asset of an item a sensor's band is: by key, declared name, common name, place, or title."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pystac

from tasks.earth.catalog_params import NUMBERS
from tasks.earth.sensors import Band, Sensor

NOT_MEASURED = {"thumbnail", "overview", "visual", "metadata", "tiles", "date", "graphic", "rendered_preview"}
"""Roles and keys of assets that show or describe a scene and are no measurement."""
_RENDERED = re.compile(r"^(visual|tci|preview|rendered_preview|thumbnail|overview)(_\d+m)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Candidate:
    """One band of one asset."""

    key: str
    asset: pystac.Asset
    index: int
    fields: Mapping[str, Any]
    inherited: Mapping[str, Any]
    alone: bool
    """Whether the asset describes one band at most, so that its key is the band's."""

    def field(self, name: str) -> Any:
        """What the band, then the asset, then the collection says; None where nobody does."""
        spelt = (name, f"raster:{name}")
        for source in (self.fields, self.asset.extra_fields, self.inherited):
            value = next((source[key] for key in spelt if source.get(key) is not None), None)
            if value is not None:
                return value[self.index] if isinstance(value, list) and self.index < len(value) else value
        return None

    @property
    def name(self) -> str:
        """In lower case; empty where it has none."""
        return str(self.fields.get("name") or "").lower()

    @property
    def common_name(self) -> str:
        """STAC's, under either of its spellings; empty where it has none."""
        return str(self.fields.get("common_name") or self.fields.get("eo:common_name") or "").lower()

    @property
    def named(self) -> bool:
        """Whether anything says which band it is."""
        return bool(self.name or self.common_name or self.fields.get("description"))

    @property
    def text(self) -> str:
        """What the band is called in prose."""
        said = (self.fields.get("description"), self.asset.title if self.alone else None)
        return " ".join(str(one) for one in said if one).lower()


def matching(patterns: Sequence[str], keys: Sequence[str]) -> list[str]:
    """The asset keys that the first pattern matches which matches any, in any case."""
    for pattern in patterns:
        found = [key for key in keys if re.fullmatch(pattern, key, re.IGNORECASE)]
        if found:
            return found
    return []


def of_whole_files(candidates: list[Candidate], sensor: Sensor) -> list[Candidate]:
    """Of a sensor whose bands are in one file, the bands of that file alone."""
    if not sensor.files:
        return candidates
    keys = matching(sensor.files, list(dict.fromkeys(c.key for c in candidates)))
    return [c for c in candidates if c.key in keys]


def places_of(band: str, sensor: Sensor) -> tuple[tuple[int, int], ...]:
    """(bands of a file, number of this one), in files that hold all bands of a sensor, those in its unit, or those that
    every product has."""
    orders = (sensor.band_names, sensor.file_order, sensor.required_bands)
    return tuple(dict.fromkeys((len(names), names.index(band) + 1) for names in orders if band in names))


def candidates_of(item: pystac.Item, collection: Mapping[str, Any], files: Sequence[str] = ()) -> Iterator[Candidate]:
    """Every band of every asset that measures something.

    Args:
        item: the scene.
        collection: STAC document of its collection; empty where there is none.
        files: asset keys that the sensor's own entry names.
    """
    templates = collection.get("item_assets") or {}
    declared = collection.get(NUMBERS) or {}
    for key, asset in item.assets.items():
        roles = {str(role).lower() for role in asset.roles or []}
        # What a sensor's own entry names is what it measures: a mosaic of a drone is its visual.
        if (roles & NOT_MEASURED or _RENDERED.match(key)) and not matching(files, [key]):
            continue
        template = templates.get(key) or {}
        own, inherited = _bands(asset.extra_fields), _bands(template)
        count = max(len(own), len(inherited), 1)
        for index in range(count):
            fields = _nth(own, index)
            # Names of the collection hold where the item gives none; numbers are asked for one after the other.
            named = {k: v for k, v in _nth(inherited, index).items() if k in ("name", "common_name", "description")}
            flat = {k: v for k, v in template.items() if not k.endswith("bands")}
            yield Candidate(
                key,
                asset,
                index,
                {**named, **fields},
                {**declared, **flat, **_nth(inherited, index)},
                alone=count == 1,
            )


def _bands(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The description of each band of an asset, put together from `bands`, `eo:bands` and `raster:bands`."""
    lists = [fields.get(name) for name in ("raster:bands", "eo:bands", "bands")]
    described = [[band for band in one if isinstance(band, Mapping)] for one in lists if isinstance(one, list)]
    count = max((len(one) for one in described), default=0)
    return [{k: v for one in described for k, v in _nth(one, index).items()} for index in range(count)]


def _nth(bands: Sequence[Mapping[str, Any]], index: int) -> dict[str, Any]:
    """Of a list with one entry, that one: catalogs describe many like bands once."""
    return dict(bands[index if len(bands) > 1 else 0]) if bands and (len(bands) == 1 or index < len(bands)) else {}


def platform_of(item: pystac.Item, sensor: Sensor) -> str:
    """The platform as the item names it, or its id where the name says nothing."""
    named = str(item.properties.get("platform") or "")
    return named if sensor.platforms and re.search(sensor.platforms, named, re.IGNORECASE) else item.id


def names_of(band: Band, item: pystac.Item, sensor: Sensor) -> tuple[str, ...]:
    """What files of the item's platform call a band, in lower case: best first."""
    platform = platform_of(item, sensor)
    for generation in sensor.generations:
        if re.search(generation.platforms, platform, re.IGNORECASE):
            names = (band.common_name, *generation.names.get(band.name, ()))
            break
    else:
        names = (band.common_name, *band.other_names, band.name)
    # A synonym that no other band shares is as good as a name.
    shared = {name for other in sensor.bands if other is not band for name in (other.common_name, *other.synonyms)}
    own = [name for name in band.synonyms if name not in shared]
    return tuple(dict.fromkeys(name.lower() for name in (*names, *own)))


def best(candidates: Sequence[Candidate], band: Band, names: Sequence[str], sensor: Sensor) -> Candidate | None:
    """The candidate that is a band of a sensor, which files call by one of `names`; None where none surely is."""
    common = {band.common_name, *band.synonyms}
    others = {name for other in sensor.bands for name in (other.common_name, *other.synonyms)} - common
    usable = [c for c in candidates if c.common_name not in others]
    keyed = [c for c in usable if c.alone and c.key.lower() in names]
    if keyed:
        return min(keyed, key=lambda c: names.index(c.key.lower()))
    named = [c for c in usable if c.name in names]
    if named:
        return _nearest(named, band)
    shared = [c for c in usable if c.common_name in common]
    exact = [c for c in shared if c.common_name == band.common_name] or shared
    if len(exact) > 1 and len({c.key for c in exact}) == 1:
        # Bands of one file that all have one common name: only their places tell them apart.
        return _in_place([c for c in candidates if c.key == exact[0].key], exact, band, sensor)
    if len(exact) == 1:
        return exact[0]
    if exact and band.common_name in {c.common_name for c in exact}:
        return _nearest(exact, band)
    if sensor.files and usable and not any(c.named for c in usable):
        return _in_place(usable, usable, band, sensor) or usable[0]  # which of its bands it is, the file is asked
    titled = [c for c in usable if any(re.search(rf"(?<![a-z0-9]){re.escape(n)}(?![a-z0-9])", c.text) for n in names)]
    return titled[0] if len(titled) == 1 else None


def _in_place(file: Sequence[Candidate], alike: Sequence[Candidate], band: Band, sensor: Sensor) -> Candidate | None:
    """The one of several like bands of a file that is where the sensor has this one; None if the order is another."""
    place = dict(places_of(band.name, sensor)).get(len(file))
    return next((c for c in alike if c.index + 1 == place), None)


def _nearest(candidates: Sequence[Candidate], band: Band) -> Candidate:
    """The candidate whose GSD is nearest to the band's: catalogs offer bands in several resolutions."""

    def distance(candidate: Candidate) -> float:
        gsd = number(candidate.field("gsd") or candidate.field("spatial_resolution"))
        # One that says no GSD comes after those that fit, before those that do not.
        return abs(math.log(gsd / band.gsd)) if gsd and gsd > 0 else 0.1

    return min(candidates, key=distance)


def number(value: Any) -> float | None:
    """A number as catalogs write it: 0, "0", "nan"; None for what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
