"""xBD from its owner's files: pairs of pictures, and labels with a polygon and a damage class for each building.

The questions are EarthDial's; the rules by which it made its truths are not published, so ours are written here:
affected is minor damage or more; one, two, many are counts of affected buildings; `un-classified` buildings are in
no question of damage (EarthDial kept them, with a truth that is not among the choices it offers).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import ImageIndex, found, get, matches, read_json
from tasks.evaluation.datasets.owner_boxes import Box, upright, write
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected

HARMED = ("minor-damage", "major-damage", "destroyed")
LEVELS = ("no-damage", *HARMED)


@dataclass(frozen=True)
class Building:
    """One building after the disaster."""

    uid: str
    damage: str
    box: Box


def pairs(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """Questions about each pair `<disaster>_<n>_{pre,post}_disaster.png`; option `ask` says which.

    `ask`: type, affected, count (one question a pair); level, harmed (one a building); locate (all buildings).
    """
    ask = job.option("ask")
    labels = matches(root, "**/labels/*_post_disaster.json")
    if not labels:
        raise BenchmarkError(f"{root}: looked for labels/*_post_disaster.json; {found(root)}")
    index = ImageIndex(root)
    for path in labels:
        stem = path.stem.removesuffix("_post_disaster")
        content = read_json(path)
        note = get(content, "metadata", str(path))
        buildings = _buildings(content, note, path)
        captured = {"pre": "", "post": str(note.get("capture_date", ""))}
        images = [job.image(index.find(f"{stem}_{when}_disaster.png"), date) for when, date in captured.items()]
        disaster = str(get(note, "disaster_type", str(path)))
        extra = {"disaster": note.get("disaster", "")}
        for id, question, truth, boxes in _asked(ask, stem, disaster, buildings, job):
            if truth:
                yield job.sample(id, images, question, [truth], boxes=boxes, group=stem, extra=extra)
            else:
                yield Rejected(id, "no_truth", f"{path.name}: {disaster}, {len(buildings)} buildings: no {ask} to tell")


def _buildings(content: dict[str, Any], note: dict[str, Any], path: Path) -> list[Building]:
    width, height = (float(get(note, side, str(path))) for side in ("width", "height"))
    buildings = []
    for feature in get(get(content, "features", str(path)), "xy", str(path)):
        properties = get(feature, "properties", str(path))
        if properties.get("feature_type") != "building":
            continue
        try:
            bounds = shapely.from_wkt(get(feature, "wkt", str(path))).bounds
        except shapely.errors.ShapelyError as error:
            raise BenchmarkError(f"{path}: building {properties.get('uid')}: {error}") from error
        damage = str(properties.get("subtype", "un-classified"))
        buildings.append(Building(str(properties.get("uid", "")), damage, upright(bounds, width, height)))
    return buildings


def _asked(
    ask: str, stem: str, disaster: str, buildings: list[Building], job: ImportJob
) -> Iterator[tuple[str, str, str, tuple[Box, ...]]]:
    """(id, question, truth, boxes) of one pair."""
    harmed = [building for building in buildings if building.damage in HARMED]
    rated = [building for building in buildings if building.damage in LEVELS]
    if ask == "type":
        yield stem, job.question(), job.class_called(disaster) or "", ()
    elif ask == "affected":
        yield stem, job.question(), "yes" if harmed else "no", ()
    elif ask == "count":
        yield stem, job.question(), ("none", "one", "two", "many")[min(len(harmed), 3)], ()
    elif ask == "locate":
        boxes = tuple(building.box for building in buildings)
        yield stem, job.question(), write(boxes) if boxes else "", boxes
    elif ask in ("level", "harmed"):
        for building in rated:
            truth = building.damage if ask == "level" else ("yes" if building.damage in HARMED else "no")
            box = write([building.box])
            yield f"{stem}#{building.uid}", job.question(box=f"<box>{box}</box>"), truth, (building.box,)
    else:
        raise BenchmarkError(f"{job.benchmark.name}: xbd cannot ask {ask!r}")
