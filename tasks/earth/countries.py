"""The country that a place lies in, by the borders of Natural Earth at 1:50 million (public domain).

Such borders are a kilometre or two from where they are on the ground, coasts likewise, and some are disputed: within
`NEAR` of a second country nothing is said. Which of two claims holds is Natural Earth's choice: who is there in fact.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import shapely
import shapely.affinity

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


def country_at(longitude: float, latitude: float) -> str | None:
    """English name of the only country within 20 km of a place in degrees; None if there is none, or more than one."""
    names, tree = _borders()
    # A circle on the ground is an ellipse of degrees; near the poles it goes all around, where there is one country.
    high = NEAR / DEGREE
    wide = min(high / max(math.cos(math.radians(latitude)), 0.01), 90.0)
    around: Any = shapely.affinity.scale(shapely.Point(longitude, latitude).buffer(1), wide, high)
    around = shapely.union_all([around, *(shapely.affinity.translate(around, turn) for turn in (-360, 360))])
    found = {names[index] for index in tree.query(around, predicate="intersects").tolist()}
    return found.pop() if len(found) == 1 else None


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
