"""Imported pairs as what is trained on and what is held out: no image on both sides."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.core import tables
from tasks.core.errors import EmptyStageError, LeakageError, ParamsError
from tasks.core.stage import write_json
from tasks.dialogue.conversations import TAGS, load
from tasks.earth.grid import stable_hash
from tasks.published.samples import imported_statistics, samples_of
from tasks.vlm.images import Normalisation
from tasks.vlm.samples import SCHEMA

Rows = list[dict[str, Any]]
SIDES = ("train", "val")


@dataclass(frozen=True)
class Pairs:
    """Rows of `tasks.vlm.samples.SCHEMA` on both sides."""

    train: Rows
    val: Rows

    def write(self, folder: Path) -> dict[str, Path]:
        """A table a side in `folder`; where they are."""
        places = {name: folder / f"{name}.parquet" for name in SIDES}
        for name, place in places.items():
            tables.write_rows(getattr(self, name), SCHEMA, place)
        return places

    @property
    def tags(self) -> list[str]:
        """The tags in the questions that are trained on."""
        said = [question for row in self.train for question, _ in load(row["conversations"])]
        return [tag for tag in TAGS if any(tag in question for question in said)]


def read_pairs(folders: Sequence[Path], held_out: Path | None, share: float) -> Pairs:
    """The pairs of imported data sets.

    Args:
        folders: as `earthloom import` leaves them.
        held_out: another one that is not trained on; None to hold images of `folders` out.
        share: of the images to hold out then.

    Raises:
        ParamsError: no data set is named.
        EmptyStageError: nothing is left to train on.
        LeakageError: an image that is held out is trained on, too.
    """
    if not folders:
        raise ParamsError("name the imported data set to learn from: `earthloom import llava` and its like make one")
    rows = [{**row, "repeats": 1} for folder in folders for row in samples_of(folder)]
    pixels = _pixels(rows)
    if held_out is not None:
        val = [{**row, "repeats": 1} for row in samples_of(held_out)]
        both = set(pixels.values()) & set(_pixels(val).values())
        if both:
            raise LeakageError(
                f"{len(both)} of the images in {held_out} are trained on, too: a score on them would say what was "
                "learned by heart. Take their pairs out of one side"
            )
        train = rows
    else:
        places = _places(rows, pixels)
        order = sorted(set(places), key=lambda place: (stable_hash(f"held-out/{place}"), place))
        out = set(order[: round(share * len(order))])
        train = [row for row, place in zip(rows, places, strict=True) if place not in out]
        val = [row for row, place in zip(rows, places, strict=True) if place in out]
    if not train:
        raise EmptyStageError(f"{', '.join(map(str, folders))}: no pair is left to train on")
    return Pairs(train, val)


def _pixels(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Hash of the pixels of each image, by its shard and its name: files of other names may be the same picture."""
    shards = sorted({image["shard"] for row in rows for image in row["images"]})
    found = {}
    for shard in shards:
        for chip in tables.read(Path(shard), ["chip_id", "pixels"]).to_pylist():
            found[shard, chip["chip_id"]] = hashlib.blake2b(chip["pixels"], digest_size=16).hexdigest()
    return found


def _places(rows: Rows, pixels: Mapping[tuple[str, str], str]) -> list[str]:
    """What must stay on one side with each row: the least of all images that rows of several images join."""
    least: dict[str, str] = {}

    def root(image: str) -> str:
        while (above := least.setdefault(image, image)) != image:
            image = above
        return image

    images = [[pixels[image["shard"], image["chip_id"]] for image in row["images"]] for row in rows]
    for some in images:
        for image in some[1:]:
            low, high = sorted((root(some[0]), root(image)))
            least[high] = low
    return [root(some[0]) for some in images]


def write_statistics(folders: Sequence[Path], base: Normalisation, folder: Path) -> Normalisation:
    """Statistics of the images in the layout of stage `stats`, a file a sensor in `folder`; and all together.

    What the base was trained with stays: another scale would show it other images. Sensors that are new to it have
    those of the pairs.
    """
    own = Normalisation(
        {
            sensor: {band["name"]: (band["mean"], band["std"]) for band in stats["bands"]}
            for sensor, stats in imported_statistics(folders).items()
        }
    ).values
    both = {name: {**own.get(name, {}), **base.values.get(name, {})} for name in sorted({*own, *base.values})}
    for sensor, bands in both.items():
        listed = [{"name": name, "mean": mean, "std": std} for name, (mean, std) in bands.items()]
        write_json(folder / f"{sensor}.json", {"sensor": sensor, "bands": listed})
    return Normalisation(both)
