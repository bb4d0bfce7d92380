"""The two sides of a check as streams of images and of questions: a training mixture, or an imported benchmark."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from tasks.core import tables
from tasks.core.errors import LeakageError, MissingInputError
from tasks.dialogue import conversations
from tasks.earth import geotiff
from tasks.earth.foreign_files import opened_raster
from tasks.earth.pictures import DRIVERS
from tasks.evaluation.datasets.images import ImageDecodeError, decode
from tasks.evaluation.datasets.samples import BenchmarkImageRef, read_samples
from tasks.evaluation.leakage.footprints import Footprint, of_raster, of_wkb

SAMPLES = "samples.parquet"


@dataclass(frozen=True)
class SideImage:
    """One image of a side."""

    key: str
    """What the questions name it by."""
    pixels: NDArray[np.generic]
    """[bands, height, width], as stored."""
    bands: tuple[str, ...]
    footprint: Footprint | None
    """The ground it shows, in lon/lat, where that is known."""


@dataclass(frozen=True)
class SideSample:
    """One question or conversation of a side, without its pixels."""

    id: str
    images: tuple[str, ...]
    turns: tuple[tuple[str, str], ...]
    """Question and answer; for several references, the question with each."""


class Side(Protocol):
    """Training or benchmark."""

    unreadable: list[str]
    """Images that could not be decoded, with the reason; filled while `images` is read."""

    @property
    def path(self) -> Path:
        """The table of questions."""

    def images(self) -> Iterator[SideImage]:
        """Every image once."""

    def samples(self) -> Iterator[SideSample]:
        """Every question."""

    def image_count(self) -> int:
        """Images there are, for the progress bar."""


def open_side(path: Path) -> "Side":
    """A side from its files: a folder with samples.parquet, or the Parquet table of a mixture.

    Raises:
        MissingInputError: nothing is there.
        LeakageError: it is neither.
    """
    if (path / SAMPLES).is_file():
        return BenchmarkSide(path)
    if not path.is_file():
        raise MissingInputError(
            f"{path} is neither a table of a mixture nor a folder with {SAMPLES}; `earthloom run mixture` makes the "
            "one, `earthloom bench import` the other"
        )
    names = set(pq.read_schema(path).names)
    if path.name == SAMPLES:
        return BenchmarkSide(path.parent)
    if not {"sample_id", "conversations"} <= names or not {"images", "shard"} & names:
        raise LeakageError(f"{path} is no table of a mixture: its columns are {', '.join(sorted(names))}")
    return MixtureSide(path)


@dataclass
class BenchmarkSide:
    """An imported benchmark: a folder of samples.parquet."""

    folder: Path
    unreadable: list[str] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The table."""
        return self.folder / SAMPLES

    def images(self) -> Iterator[SideImage]:
        """Every image once."""
        seen = set()
        for sample in read_samples(self.folder):
            for image in sample.images:
                key = _key(image)
                if key not in seen:
                    seen.add(key)
                    try:
                        yield SideImage(key, decode(image, self.folder), image.bands, self._ground(image))
                    except ImageDecodeError as error:
                        self.unreadable.append(f"sample {sample.id}, image {image.path or 'in the table'}: {error}")

    def _ground(self, image: BenchmarkImageRef) -> Footprint | None:
        if image.format != "tiff":
            return None
        if image.data is None:
            with opened_raster(self.folder / image.path, DRIVERS["tiff"]) as dataset:
                return of_raster(dataset)
        with opened_raster(image.data, DRIVERS["tiff"]) as dataset:
            return of_raster(dataset)

    def samples(self) -> Iterator[SideSample]:
        """Every question."""
        for sample in read_samples(self.folder):
            turns = tuple((sample.question, reference) for reference in sample.references)
            yield SideSample(sample.id, tuple(map(_key, sample.images)), turns)

    def image_count(self) -> int:
        """Images there are."""
        with pq.ParquetFile(self.path) as file:
            paths = file.read(columns=["images.list.element.path"])["images"].to_pylist()
        known = [image["path"] for images in paths for image in images]
        return len({path for path in known if path}) + sum(not path for path in known)


def _key(image: BenchmarkImageRef) -> str:
    return image.path if image.data is None else hashlib.blake2b(image.data, digest_size=16).hexdigest()


@dataclass
class MixtureSide:
    """A mixture of ours: a table of conversations, and the shards of chips it names. What it takes from imported data
    sets stands in the same form.
    """

    path: Path
    unreadable: list[str] = field(default_factory=list)

    def images(self, only: Collection[str] | None = None) -> Iterator[SideImage]:
        """Every chip once, or only some, shard by shard; paths of shards are from the current folder, as training reads
        them.
        """
        for shard, chips in sorted(self._shards().items()):
            wanted = chips if only is None else chips.intersection(only)
            if wanted:
                yield from self._of_shard(Path(shard), wanted)

    def _of_shard(self, shard: Path, wanted: set[str]) -> Iterator[SideImage]:
        if not shard.is_file():
            raise MissingInputError(f"{shard} is not there, but {self.path} names it; rebuild stage `mixture`")
        with tables.whole(shard):
            columns = [name for name in ("chip_id", "geometry", "pixels") if name in pq.read_schema(shard).names]
        places = {name: row for row, name in enumerate(tables.read(shard, ["chip_id"])["chip_id"].to_pylist())}
        if left := wanted - places.keys():
            raise MissingInputError(f"chip {min(left)} is not in {shard}, but {self.path} names it; rebuild `mixture`")
        for chosen in tables.picked(shard, sorted(places[name] for name in wanted), columns):
            for row in chosen.to_pylist():
                yield from self._chip(row, shard)

    def _chip(self, row: dict[str, Any], shard: Path) -> Iterator[SideImage]:
        try:
            raster = geotiff.decode(row["pixels"], what=f"chip {row['chip_id']}")
        except (RasterioError, TypeError) as error:
            self.unreadable.append(f"chip {row['chip_id']} of {shard}: {error}")
            return
        yield SideImage(row["chip_id"], raster.pixels, raster.bands, of_wkb(row.get("geometry")))

    def _shards(self) -> dict[str, set[str]]:
        shards: dict[str, set[str]] = defaultdict(set)
        for images in self._images():
            for shard, chip_id in images:
                shards[shard].add(chip_id)
        return shards

    def _images(self) -> Iterator[Sequence[tuple[str, str]]]:
        """(shard, chip) of each image of each row; earlier mixtures have one image a row, in columns of its own."""
        several = "images" in pq.read_schema(self.path).names
        table = tables.read(self.path, ["images"] if several else ["shard", "chip_id"])
        for row in table.to_pylist():
            yield [(image["shard"], image["chip_id"]) for image in (row["images"] if several else [row])]

    def samples(self) -> Iterator[SideSample]:
        """Every conversation."""
        table = tables.read(self.path, ["sample_id", "conversations"])
        for sample_id, text, images in zip(
            table["sample_id"].to_pylist(), table["conversations"].to_pylist(), self._images(), strict=True
        ):
            try:
                turns = tuple(conversations.load(text))
            except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
                raise LeakageError(f"{self.path}, sample {sample_id}: {error}; rebuild stage `mixture`") from error
            yield SideSample(sample_id, tuple(chip_id for _, chip_id in images), turns)

    def image_count(self) -> int:
        """Chips there are."""
        return sum(len(chips) for chips in self._shards().values())
