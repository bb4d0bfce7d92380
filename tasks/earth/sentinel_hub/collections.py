"""What Sentinel Hub calls its collections and bands, and the evalscript that asks for them.

Names of collections and bands stand in `collections.toml` beside this module, which says what each field means.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pystac

from tasks.core.errors import SceneError

HERE = Path(__file__).parent
Resampling = Literal["NEAREST", "BILINEAR"]


@dataclass(frozen=True)
class Plane:
    """One band or mask: number * scale + offset is its value in `units`."""

    key: str
    """Asset key, by which the registry of sensors finds it."""
    band: str
    """Name at the service."""
    gsd: float
    """Native ground sampling distance, metres."""
    units: str
    """Of the service, such as REFLECTANCE."""
    scale: float = 1.0
    offset: float = 0.0
    declared: str | None = None
    """Unit of the value as `raster:bands` writes it; None for reflectance and codes."""
    codes: bool = False
    """Whether its numbers are classes or bits, which no resampling may mix."""
    where: tuple[str, ...] | None = None
    """Values of the collection's `bands_by` for which a scene has it; None: always."""


@dataclass(frozen=True)
class Baseline:
    """How the number for no data follows from the processing baseline in a scene's name."""

    pattern: str
    shifted_since: int
    empty_before: int


@dataclass(frozen=True)
class Collection:
    """One collection of the service that scenes can be taken from."""

    name: str
    planes: Mapping[str, Plane]
    """By asset key."""
    sample_type: Literal["UINT16", "FLOAT32"]
    resampling: Resampling
    cloud_cover: bool
    """Whether its items tell their cloud cover, so that the service can be asked to filter by it."""
    processing: Mapping[str, Any] = field(default_factory=dict)
    filter: Mapping[str, str] = field(default_factory=dict)
    bands_by: str | None = None
    baseline: Baseline | None = None

    def planes_of(self, properties: Mapping[str, Any]) -> dict[str, Plane]:
        """The planes that a scene with these properties has, by asset key."""
        value = properties.get(self.bands_by) if self.bands_by else None
        return {key: plane for key, plane in self.planes.items() if plane.where is None or value in plane.where}

    def empty(self, scene: str) -> int:
        """The stored number that stands for no data in the scene of that name; so do those below it."""
        found = re.search(self.baseline.pattern, scene) if self.baseline else None
        if found is None or self.baseline is None or int(found[1]) >= self.baseline.shifted_since:
            return 0
        return self.baseline.empty_before


@cache
def collections() -> dict[str, Collection]:
    """All collections, by the name that params.yaml lists them under."""
    with (HERE / "collections.toml").open("rb") as file:
        return {name: _collection(name, entry) for name, entry in tomllib.load(file).items()}


def _collection(name: str, entry: dict[str, Any]) -> Collection:
    numbers = entry.pop("numbers")
    planes = {}
    for key, band in entry.pop("bands").items():
        # Codes are what they are: scale and offset are of measurements.
        fields = band if band.get("codes") else numbers | band
        planes[key] = Plane(key, **fields | ({"where": tuple(band["where"])} if "where" in band else {}))
    baseline = entry.pop("baseline", None)
    return Collection(name, planes, baseline=Baseline(**baseline) if baseline else None, **entry)


def collection_of(item: pystac.Item) -> Collection:
    """The collection of a recorded scene.

    Raises:
        SceneError: it is none that is known here.
    """
    found = collections().get(item.collection_id or "")
    if found is None:
        raise SceneError(
            "unknown-collection",
            f"scene {item.id} is of collection '{item.collection_id}', whose bands at Sentinel Hub are not known; "
            f"known are: {', '.join(sorted(collections()))}",
        )
    return found


def evalscript(planes: Sequence[Plane], sample_type: str, empty: int) -> str:
    """The script that returns `planes` and a mask of data in one response, see `evalscript.js`.

    Args:
        planes: in the order of the response.
        sample_type: of the response, UINT16 or FLOAT32.
        empty: the number that stands for no data, as of `Collection.empty`.
    """
    constants = [
        {
            "band": plane.band,
            "units": plane.units,
            "codes": plane.codes,
            "scale": plane.scale,
            "offset": plane.offset,
            "empty": empty,
        }
        for plane in planes
    ]
    head = f"//VERSION=3\nconst PLANES = {json.dumps(constants)};\nconst SAMPLE_TYPE = {json.dumps(sample_type)};\n"
    return head + (HERE / "evalscript.js").read_text()
