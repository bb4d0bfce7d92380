"""The country that a place lies in, by the borders of Natural Earth at 1:50 million (public domain).

Such borders are a kilometre or two from where they are on the ground, coasts likewise, and some are disputed: within
`NEAR` of a second country nothing is said. Which of two claims holds is Natural Earth's choice: who is there in fact.
"""

from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.affinity
from numpy.typing import NDArray

from tasks.core import tables

TABLE = Path(__file__).with_name("countries.parquet")
"""Made by samples/countries.py."""
NEAR = 20_000.0
"""Metres."""
PLURAL = ("Islands", "Republic", "Territories", "Territory", "States of America", "Emirates", "Kingdom", "Lands")
WITH_ARTICLE = frozenset(
    (
        "Netherlands", "Philippines", "Bahamas", "Gambia", "Maldives", "Democratic Republic of the Congo", "Comoros",
        "Seychelles",
    )
)  # fmt: skip
DEGREE = 111_320.0
"""Metres a degree of latitude, roughly."""


Countries = tuple[NDArray[np.str_], NDArray[Any]]
"""Names, and shapely geometries in degrees."""


def country_at(longitude: float, latitude: float) -> str | None:
    """English name of the only country within 20 km of a place in degrees; None if there is none, or more than one."""
    return countries_at(np.array([longitude]), np.array([latitude]))[0]


def countries_at(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> list[str | None]:
    """The same of many places: those of one square degree are held against what lies around it alone."""
    out = np.full(len(longitude), None, object)
    squares = np.stack([np.floor(longitude), np.floor(latitude)], axis=1).astype(int)
    found, inverse = np.unique(squares, axis=0, return_inverse=True)
    for number, (west, south) in enumerate(found.tolist()):
        names, shapes, box = _around(west, south)
        own = np.flatnonzero(inverse.ravel() == number)
        if len(names) == 1 and shapely.covers(shapes[0], box):
            out[own] = names[0]
        elif len(names):
            near = shapely.intersects(shapes[:, None], _circles(longitude[own], latitude[own])[None, :])
            one = near.sum(axis=0) == 1
            out[own[one]] = names[near.argmax(axis=0)[one]]
    return list(out)


def _wide(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees of longitude that `NEAR` is wide; near the poles it goes all around, where there is one country."""
    return np.minimum(NEAR / DEGREE / np.maximum(np.cos(np.radians(latitude)), 0.01), 90.0)


def _circles(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[Any]:
    """Circles of `NEAR` on the ground, which are ellipses of degrees."""
    unit = shapely.get_coordinates(shapely.Point(0, 0).buffer(1))
    reach = np.stack([_wide(latitude), np.full(len(latitude), NEAR / DEGREE)], axis=1)
    places = np.stack([longitude, latitude], axis=1)
    return np.asarray(shapely.polygons(places[:, None] + unit[None] * reach[:, None]))


@lru_cache(maxsize=4096)
def _around(west: int, south: int) -> tuple[NDArray[np.str_], NDArray[Any], Any]:
    """Countries near a square degree, cut to it with `NEAR` around; and that box."""
    names, tree = _borders()
    high = NEAR / DEGREE
    wide = float(_wide(np.array([float(south), south + 1.0])).max())
    box = shapely.box(west - wide, south - high, west + 1 + wide, south + 1 + high)
    there: list[str] = []
    cut: list[Any] = []
    for turn in (-360, 0, 360):
        turned = shapely.affinity.translate(box, turn)
        for index in tree.query(turned, predicate="intersects").tolist():
            there.append(names[index])
            cut.append(shapely.affinity.translate(shapely.intersection(tree.geometries[index], turned), -turn))
    # One country on both sides of 180 degrees is one.
    parts = {name: [shape for other, shape in zip(there, cut, strict=True) if other == name] for name in there}
    single = {name: shapely.union_all(shapes) for name, shapes in parts.items()}
    return np.array(list(single), dtype=str), np.array(list(single.values()), dtype=object), box


@cache
def _borders() -> tuple[list[str], shapely.STRtree]:
    table = tables.read(TABLE)
    return table["name"].to_pylist(), shapely.STRtree(shapely.from_wkb(table["geometry"].to_pylist()))


def all_countries() -> frozenset[str]:
    """Names of all countries that can be found."""
    return frozenset(_borders()[0])


def in_a_sentence(country: str) -> str:
    """A country's name as it stands in a sentence: "the Netherlands"."""
    return f"the {country}" if country in WITH_ARTICLE or country.endswith(PLURAL) else country
