"""Whether a claim of a suite holds, recomputed from the labels themselves and by other means than the suites use."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, center_of_mass
from shapely.geometry import box

from tasks.dialogue.facts import ChipFacts, Label
from tasks.earth.sensors import SENSORS

COLUMNS = {"west": 0, "": 1, "east": 2}
ROWS = {"north": 0, "": 1, "south": 2}
WINTERS = {12: 0, 1: 0, 2: 0, 3: 1, 4: 1, 5: 1, 6: 2, 7: 2, 8: 2, 9: 3, 10: 3, 11: 3}


def rows(facts: ChipFacts, name: str, *kinds: str) -> list[Label]:
    return [label for label in facts.labels if label.name == name and label.kind in kinds]


def denied(facts: ChipFacts, name: str, tag: bool = False) -> bool:
    """Whether some source that looked for it gives no row of it."""
    looked = [
        s
        for s in facts.sources.values()
        if s.complete and name in s.labels and (s.looked_for is None or name in s.looked_for)
    ]
    kinds = {s.kind in ("tag", "skyscript") for s in looked}
    return kinds == {tag} and not any(label.name == name for label in facts.labels)


def share(facts: ChipFacts, name: str) -> float:
    (label,) = rows(facts, name, "area")
    assert label.fraction is not None
    return label.fraction


def third(label: Label) -> tuple[int, int]:
    assert label.plane is not None
    y, x = center_of_mass(label.plane)
    return int((y + 0.5) / label.plane.shape[0] * 3), int((x + 0.5) / label.plane.shape[1] * 3)


def cell_of(place: str) -> tuple[int, int]:
    if place == "centre":
        return 1, 1
    parts = place.split("-")
    row = next((ROWS[p] for p in parts if p in ROWS), 1)
    column = next((COLUMNS[p] for p in parts if p in COLUMNS), 1)
    return row, column


def planes(facts: ChipFacts, one: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    (a,), (b,) = rows(facts, one, "area"), rows(facts, other, "area")
    assert a.plane is not None and b.plane is not None
    return a.plane, b.plane


def near(facts: ChipFacts, one: str, other: str, cells: int) -> bool:
    a, b = planes(facts, one, other)
    return bool((binary_dilation(a, iterations=cells) & b).any())


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    a, b = box(*one), box(*other)
    return float(a.intersection(b).area / a.union(b).area)


def season(facts: ChipFacts) -> str:
    assert facts.taken is not None and facts.latitude is not None and abs(facts.latitude) > 25
    number = WINTERS[facts.taken.month] + (0 if facts.latitude > 0 else 2)
    return ("winter", "spring", "summer", "autumn")[number % 4]


def radar(facts: ChipFacts) -> bool:
    return SENSORS[facts.sensor].unit == "dB"


def quantity(label: Label, facts: ChipFacts) -> float:
    assert label.fraction is not None and facts.side is not None
    return label.fraction * facts.side**2


def holds(claim: Mapping[str, Any], facts: ChipFacts) -> bool:
    """Whether it does; an error where the labels could not say."""
    name = str(claim.get("label", ""))
    match claim["is"]:
        case "present":
            there = rows(facts, name, "area", "line", "point")
            assert there or denied(facts, name), f"{name} is not known to be absent"
            return any(label.kind != "area" or (label.fraction or 0) > 0.05 for label in there)
        case "absent":
            return not holds({"is": "present", "label": name}, facts)
        case "around":
            there = rows(facts, name, "tag")
            assert there or denied(facts, name, tag=True)
            return bool(there)
        case "not around":
            return not holds({**claim, "is": "around"}, facts)
        case "changed":
            there = rows(facts, name, "change")
            assert there or denied(facts, name)
            return bool(there)
        case "not changed":
            return not holds({**claim, "is": "changed"}, facts)
        case "known":
            return any(
                str(name).split()[-1].lower() in label.lower()
                for source in facts.sources.values()
                for label in source.labels
            )
        case "dominant" | "not dominant":
            assert all(source.complete and source.looked_for is None for source in facts.sources.values())
            shares = {label.name: label.fraction or 0.0 for label in facts.labels if label.kind == "area"}
            largest = max(shares.values())
            assert sum(value > largest - 0.08 for value in shares.values()) == 1, "the lead is not clear"
            return (shares.get(name) == largest) == (claim["is"] == "dominant")
        case "share":
            return claim["low"] <= share(facts, name) <= claim["high"]
        case "more":
            difference = share(facts, name) - share(facts, claim["than"])
            assert abs(difference) > 0.09
            return difference > 0
        case "equal":
            return abs(share(facts, name) - share(facts, claim["other"])) < 0.2
        case "count":
            (label,) = rows(facts, name, "area", "point")
            assert label.count == len(label.boxes) or not label.boxes
            return label.count == claim["count"]
        case "area":
            (label,) = rows(facts, name, "area")
            return claim["low"] <= quantity(label, facts) <= claim["high"]
        case "length":
            (label,) = rows(facts, name, "line")
            assert label.length is not None
            return claim["low"] <= label.length <= claim["high"]
        case "position" | "not position" | "change position":
            (label,) = rows(facts, name, "area", "change")
            return (third(label) == cell_of(claim["position"])) == (claim["is"] != "not position")
        case "touching":
            assert near(facts, name, claim["other"], 1) or not near(facts, name, claim["other"], 3), (
                "neither next nor apart"
            )
            return near(facts, name, claim["other"], 1)
        case "apart":
            return not holds({**claim, "is": "touching"}, facts)
        case "boxes":
            (label,) = rows(facts, name, "area")
            overlaps = [max(iou(given, true) for true in label.boxes) for given in claim["boxes"]]
            assert all(value > 0.9 or value < 0.3 for value in overlaps)
            return len(overlaps) == len(label.boxes) and all(value > 0.9 for value in overlaps)
        case "in box":
            (label,) = rows(facts, name, "area")
            overlaps = [iou(claim["box"], true) for true in label.boxes]
            assert all(value > 0.9 or value < 0.1 for value in overlaps)
            return max(overlaps) > 0.9
        case "date":
            return facts.taken is not None and date.fromisoformat(claim["date"]) == facts.taken.date()
        case "year" | "month" as part:
            return facts.taken is not None and getattr(facts.taken, part) == claim[part]
        case "season" | "not season":
            return (season(facts) == claim["season"]) == (claim["is"] == "season")
        case "country" | "not country":
            return (facts.country == claim["country"]) == (claim["is"] == "country")
        case "sensor" | "not sensor":
            return (facts.sensor == claim["sensor"]) == (claim["is"] == "sensor")
        case "imaging" | "not imaging":
            return (radar(facts) == (claim["kind"] == "radar")) == (claim["is"] == "imaging")
        case "mean":
            return claim["low"] <= facts.pixels[claim["quantity"]]["mean"] <= claim["high"]
        case "share of pixels":
            return claim["low"] <= facts.pixels[claim["quantity"]]["share"] <= claim["high"]
    raise AssertionError(f"nothing is known of a claim such as {claim}")
