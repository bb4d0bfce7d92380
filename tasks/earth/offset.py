"""Whether Sentinel-2's offset is still in the numbers of a scene: decided on its pixels, not believed of its metadata.

Since processing baseline 04.00 products hold 10,000 x reflectance + 1000. Some catalogs take the 1000 off again, some
say so, and what they say is wrong on real items. Read wrongly, every reflectance is off by 0.1. Pixels decide where
they can: nothing on Earth reflects less than -0.03, and water, plants, shadow and snow are dark in known bands. Where
they cannot, over bright desert or cloud, metadata that agree with each other decide; else the scene is refused.
`benchmarks/offset_decision.py` measures the error on made scenes of known truth.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pystac
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from tasks.core.errors import SceneError
from tasks.earth.acquisitions import baseline_of
from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog
from tasks.earth.faults import fault
from tasks.earth.raster import open_asset
from tasks.earth.sensors import Sensor

State = Literal["applied", "not applied", "ambiguous"]
"""`applied`: the offset is out of the numbers, which are 10,000 x reflectance; `not applied`: 1000 is still in them."""
FIRST_ADDED = "2022-01-25"
"""The day on which baseline 04.00 came into use: what was made before has nothing added."""
ADDED = 1000
"""What the product adds to its numbers."""
SIDE = 366
"""Pixels a side that a scene is looked at with: a tile at 300 m."""
ASKED = ("coastal", "blue", "red", "nir08", "cirrus", "swir16", "swir22")
"""Common names of the bands that are looked at; cirrus is in Level-1C alone."""
DARKEST = ("cirrus", "coastal", "swir22")
"""Those of them that are read first: small files, in which dark ground shows at once."""
IMPOSSIBLE = 650
"""Numbers below it would be reflectances under -0.035 if 1000 were in them: too dark for any ground."""
FEW = 0.002
"""Share of pixels that may be so all the same: defects, and water that atmospheric correction took too much from."""
FLOOR = (900, 1250)
"""Where the darkest pixels of a band lie if 1000 is in them and the scene has water, plants or shadow."""
BANDS_AT_FLOOR = 4
"""Bands whose darkest pixels must lie there, one of them in the short-wave infrared: bright soils reflect 0.1 in blue
too, but never in blue and short-wave infrared alike."""
DECISIVE = 0.01
"""Share of impossibly dark pixels that settles it whatever else is seen."""
CIRRUS = (500, 950, 1100)
"""Numbers between which the clear ground of the cirrus band lies: below the first without the offset, between the
second and the third with it."""
CLASS_SHARE = 0.03
"""Share of a scene that a class of its mask must have to be asked: a few pixels of any class are misclassified."""
SURE = 4.0
"""Logarithm of how many times likelier a class must be with one reading of its numbers than with the other: 1 in 55."""
Usual = tuple[float, float]
CLASSES: Mapping[str, tuple[tuple[int, ...], Mapping[str, Usual]]] = {
    "vegetation": ((4,), {"coastal": (0.035, 0.03), "blue": (0.04, 0.03), "red": (0.06, 0.04)}),
    "water": ((6,), {"nir08": (0.02, 0.025), "swir16": (0.01, 0.02), "swir22": (0.01, 0.02)}),
    "dark or shadow": ((2, 3), {"red": (0.05, 0.04), "swir22": (0.05, 0.04)}),
    "snow": ((11,), {"swir16": (0.08, 0.05), "swir22": (0.07, 0.045)}),
}
"""Classes of the scene classification, which is made before catalogs touch the numbers, with the mean and the spread of
the reflectance that the middle of each usually has. Blue of shadow is not among them: on snow it is bright."""


@dataclass(frozen=True)
class Verdict:
    """What was decided of one scene."""

    state: State
    by: Literal["pixels", "metadata", "nothing"]
    evidence: str
    claims: str
    """What the metadata say, one after the other."""
    agrees: bool
    """Whether no metadata say otherwise."""

    @property
    def text(self) -> str:
        """As chips carry it."""
        return f"offset {self.state}, by {self.by}" + ("" if self.agrees else "; metadata disagree")

    def correct(self, asset: Asset) -> Asset:
        """The asset with the offset that is right for its numbers."""
        return replace(asset, offset=-ADDED * asset.scale if self.state == "not applied" else 0.0)


def decide(samples: Mapping[str, NDArray[Any]], classes: NDArray[Any] | None) -> tuple[State, str]:
    """What the pixels of a scene say, and why.

    Args:
        samples: numbers by common name, all of one shape, 0 where there is no data.
        classes: codes of Sentinel-2's scene classification on the same pixels, where there are any.
    """
    votes: dict[State, list[str]] = {"applied": [], "not applied": []}
    share = _impossible(samples)
    if share >= FEW:
        votes["applied"].append(f"{share:.1%} of the pixels are below {IMPOSSIBLE}")
    if share >= DECISIVE:
        return "applied", votes["applied"][0]
    for vote, why in (*_cirrus(samples), *_at_floor(samples), *_by_class(samples, classes)):
        votes[vote].append(why)
    for state, other in (("applied", "not applied"), ("not applied", "applied")):
        if votes[state] and not votes[other]:  # type: ignore[index]
            return state, "; ".join(votes[state])  # type: ignore[index,return-value]
    if votes["applied"]:
        return "ambiguous", "pixels speak for both: " + "; ".join(votes["applied"] + votes["not applied"])
    return "ambiguous", "no dark pixels of known kind"


def _cirrus(samples: Mapping[str, NDArray[Any]]) -> list[tuple[State, str]]:
    """Level-1C's cirrus band sees no ground: where there is no cirrus it is zero and what was added to it."""
    values = _measured(samples, "cirrus")
    if not values.size:
        return []
    low, (without, *with_it) = float(np.percentile(values, 5)), CIRRUS
    if low < without:
        return [("applied", f"the cirrus band is dark at {low:.0f}")]
    return [("not applied", f"the cirrus band is dark at {low:.0f}")] if with_it[0] <= low < with_it[1] else []


def _impossible(samples: Mapping[str, NDArray[Any]]) -> float:
    """Share of pixels that are too dark in some band to have the offset in them."""
    ground = [np.where(values > 0, values, np.inf) for name, values in samples.items() if name != "cirrus"]
    darkest = np.min(ground, axis=0) if ground else np.zeros(0)
    known = darkest[np.isfinite(darkest)]
    return float((known < IMPOSSIBLE).mean()) if known.size else 0.0


def _at_floor(samples: Mapping[str, NDArray[Any]]) -> list[tuple[State, str]]:
    """Many bands, short-wave infrared among them, whose darkest pixels are where black is with the offset."""
    ground = {name: values for name in samples if name != "cirrus" and (values := _measured(samples, name)).size}
    floors = {name: float(np.percentile(values, 0.5)) for name, values in ground.items()}
    there = [name for name, floor in floors.items() if FLOOR[0] <= floor <= FLOOR[1]]
    if len(there) >= BANDS_AT_FLOOR and {"swir16", "swir22"} & set(there):
        return [("not applied", f"the darkest pixels of {', '.join(there)} are at {min(floors.values()):.0f}")]
    return []


def _by_class(samples: Mapping[str, NDArray[Any]], classes: NDArray[Any] | None) -> list[tuple[State, str]]:
    if classes is None:
        return []
    votes: list[tuple[State, str]] = []
    for kind, (codes, bands) in CLASSES.items():
        members = np.isin(classes, codes)
        if members.mean() < CLASS_SHARE:
            continue
        for name, (mean, spread) in bands.items():
            values = samples[name][members & (samples[name] > 0)] if name in samples else np.zeros(0)
            if not values.size:
                continue
            middle = float(np.median(values))
            off = [((middle - added) * 1e-4 - mean) / spread for added in (0, ADDED)]
            ratio = (off[0] ** 2 - off[1] ** 2) / 2
            if abs(ratio) >= SURE:
                votes.append(("not applied" if ratio > 0 else "applied", f"{name} of {kind} is {middle:.0f}"))
    return votes


def _measured(samples: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    values = samples.get(name)
    return np.zeros(0) if values is None else values[values > 0]


def claims(item: pystac.Item, asset: Asset | None, sensor: Sensor) -> dict[str, State]:
    """What the metadata of an item say: claim -> the state it means."""
    said: dict[str, State] = {}
    baseline = baseline_of(item)
    later = bool(baseline) and _version(baseline) >= _version(sensor.offset_from_baseline or "")
    if baseline:
        said[f"baseline {baseline}"] = "not applied" if later else "applied"
    for name, value in item.properties.items():
        made = name.rpartition(":")[2] in ("generation_time", "created") and str(value) < FIRST_ADDED
        if made and not baseline:
            said[f"{name} {str(value)[:10]}"] = "applied"
        # Of a product to which nothing was added, that nothing was taken off says nothing.
        if name.endswith(":boa_offset_applied") and isinstance(value, bool) and (value or later):
            said[f"{name} {str(value).lower()}"] = "applied" if value else "not applied"
    if asset is not None and asset.declared_offset is not None:
        said[f"declared offset {asset.declared_offset:g}"] = "not applied" if asset.declared_offset else "applied"
    return said


def judge(state: State, evidence: str, said: Mapping[str, State]) -> Verdict:
    """Pixels and metadata put together."""
    text = "; ".join(said) or "none"
    if state != "ambiguous":
        return Verdict(state, "pixels", evidence, text, all(claim == state for claim in said.values()))
    agreed = set(said.values())
    if len(agreed) == 1:
        return Verdict(agreed.pop(), "metadata", evidence, text, True)
    return Verdict("ambiguous", "nothing", evidence, text, False)


def verdict(
    item: pystac.Item, assets: Mapping[str, Asset], mask: Asset | None, sensor: Sensor, catalog: Catalog
) -> Verdict | None:
    """What is decided of a scene; None for sensors and products that never had the offset.

    Raises:
        SceneError: offset-unknown, neither pixels nor metadata decide; or an asset cannot be read.
        UnreachableError: a server does not answer just now.
    """
    if sensor.offset_from_baseline is None:
        return None
    asked = {sensor.band(name).common_name: asset for name, asset in assets.items()}
    counts: dict[str, NDArray[Any]] = {}
    for name in sorted(ASKED, key=lambda name: (name not in DARKEST, name)):
        plane = _sample(asked[name], catalog) if name in asked else None
        if plane is not None:
            counts[name] = plane
            if decide(counts, None)[0] == "applied":
                break  # what is too dark to have 1000 in it stays so, whatever the other bands show
    if not counts:
        return None  # reflectance as floating-point numbers: nothing was added to them
    state, evidence = decide(counts, None)
    if state != "applied" and mask is not None and sensor.mask == "scl":
        state, evidence = decide(counts, _sample(mask, catalog))
    found = judge(state, evidence, claims(item, next(iter(asked.values())), sensor))
    if found.state == "ambiguous":
        raise SceneError(
            "offset-unknown",
            f"scene {item.id}: whether the offset of 1000 is still in its numbers cannot be told from its pixels "
            f"({evidence}), and its metadata do not agree: {found.claims}",
        )
    return found


def _sample(asset: Asset, catalog: Catalog) -> NDArray[Any] | None:
    """A band of whole numbers, SIDE pixels a side at most, 0 where there is no data; None if it holds floats."""
    with open_asset(asset, catalog) as opened:
        if opened.dtype.kind == "f":
            return None
        try:
            values = opened.dataset.read(opened.band, out_shape=(SIDE, SIDE), resampling=Resampling.nearest)
            if opened.masked:
                values = np.where(
                    opened.dataset.read_masks(opened.band, out_shape=(SIDE, SIDE)) > 0, values, values.dtype.type(0)
                )
        except RasterioError as error:
            raise fault(error, opened.where, opened.dataset.name) from error
    return np.asarray(values)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def summary(decided: Sequence[tuple[str, str, bool]]) -> dict[str, int]:
    """How many scenes were decided by what, and of how many the metadata say otherwise.

    Args:
        decided: state, what it was decided by, and whether all metadata agree, of each scene.
    """
    out = {f"{state}, by {by}": 0 for state, by, _ in sorted(decided)}
    for state, by, agrees in decided:
        out[f"{state}, by {by}"] += 1
        if not agrees:
            out["metadata disagree"] = out.get("metadata disagree", 0) + 1
    return out
