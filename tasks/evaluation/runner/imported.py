"""An imported benchmark, read as a run needs it: the whole without pixels, and single samples with them."""

import hashlib
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core.errors import BenchmarkError, UnaskableError
from tasks.core.stage import read_json
from tasks.evaluation.datasets import registry
from tasks.evaluation.datasets.samples import IMAGE, SCHEMA, BenchmarkImageRef, BenchmarkSample, from_row
from tasks.evaluation.runner.questions import BenchmarkQuestion, QuestionImage
from tasks.evaluation.runner.sensor_images import CalibratedImage, Kind, kind_of, read_calibrated
from tasks.vlm.sensor_of_file import read_date

MAX_CACHED_BYTES = 2**30
"""Row groups held in memory, those with their images in the table included."""


@dataclass(frozen=True)
class BenchmarkImage:
    """An image of an imported benchmark. One of `tasks.evaluation.runner.questions.QuestionImage`."""

    ref: BenchmarkImageRef
    folder: Path
    """Of the imported benchmark, that paths of images are relative to."""
    benchmark: str

    @property
    def sensor(self) -> str:
        """EarthDial's tag."""
        return self.ref.sensor

    @property
    def bands(self) -> Sequence[str]:
        """By the benchmark's names."""
        return self.ref.bands

    @property
    def key(self) -> str:
        """Its file or content, and what decides how that is read."""
        content = self.ref.path or hashlib.blake2b(self.ref.data or b"", digest_size=16).hexdigest()
        return repr((self.benchmark, str(self.folder), content, self.sensor, self.bands))

    @property
    def date(self) -> datetime | None:
        """When it was taken, in UTC; None where its benchmark does not tell."""
        return read_date(self.ref.date) if self.ref.date else None

    def kind(self) -> Kind:
        """Its sensor and bands, without a look at its pixels."""
        return kind_of(self.ref, self.benchmark)

    def size(self) -> tuple[int, int]:
        """(width, height); imported without a look at its pixels, it is opened for that."""
        if self.ref.width and self.ref.height:
            return self.ref.width, self.ref.height
        height, width = next(iter(self.read().planes.values())).shape
        return width, height

    def read(self) -> CalibratedImage:
        """Its calibrated planes.

        Raises:
            UnaskableError: it cannot be read, or is another one than was imported.
        """
        picture = read_calibrated(self.ref, self.folder, self.benchmark)
        height, width = next(iter(picture.planes.values())).shape
        if self.ref.width and (self.ref.width, self.ref.height) != (width, height):
            sizes = f"{width} x {height} pixels, {self.ref.width} x {self.ref.height} when imported"
            raise UnaskableError("size_changed", f"{self.ref.path or 'image'}: {sizes}; import the benchmark again")
        return picture


class ImportedBenchmark:
    """The samples of one benchmark, by number. One of `tasks.evaluation.runner.questions.QuestionSource`."""

    box_form = "earthdial"
    """As published; an import keeps it."""

    def __init__(self, name: str, folder: Path) -> None:
        """Open it.

        Raises:
            BenchmarkError: it has not been imported.
        """
        row = registry.get(name)
        self.name, self.task, self.folder = row.name, row.task, folder
        self.modality: str = row.modality
        self.path = folder / "samples.parquet"
        if not (self.path.is_file() and (folder / "import.json").is_file()):
            raise BenchmarkError(
                f"{name} is not in {folder}; `earthloom bench show {name}` says how to get its files, and "
                f"`earthloom bench import {name} PATH` takes them over"
            )
        self.record: dict[str, Any] = read_json(folder / "import.json")
        with pq.ParquetFile(self.path) as file:
            sizes = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        self._starts: list[int] = [0, *accumulate(sizes)]
        self._groups: OrderedDict[int, pa.Table] = OrderedDict()

    def __len__(self) -> int:
        """Samples."""
        return self._starts[-1]

    @property
    def digest(self) -> str:
        """Hash of the table, with the images that it holds."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]

    def outlines(self) -> list[tuple[str, Sequence[QuestionImage]]]:
        """(group, images without path and pixels) of every sample: enough to plan a run."""
        fields = [field.name for field in IMAGE if field.name in ("format", "sensor")]
        columns = [
            "group",
            *(f"images.list.element.{name}" for name in fields),
            "images.list.element.bands.list.element",
        ]
        with pq.ParquetFile(self.path) as file:
            rows = file.read(columns=columns).to_pylist()
        return [(row["group"], self._images([_ref(image) for image in row["images"]])) for row in rows]

    def _images(self, refs: Sequence[BenchmarkImageRef]) -> tuple[BenchmarkImage, ...]:
        return tuple(BenchmarkImage(ref, self.folder, self.name) for ref in refs)

    def question(self, number: int) -> BenchmarkQuestion:
        """A sample as the question that it asks."""
        sample = self.sample(number)
        return BenchmarkQuestion(number, ((sample.question, ""),), self._images(sample.images), self.box_form)

    def sample(self, number: int) -> BenchmarkSample:
        """One sample, with its images where the table holds them."""
        group = bisect_right(self._starts, number) - 1
        if group not in self._groups:
            with pq.ParquetFile(self.path) as file:
                self._groups[group] = file.read_row_group(group)
            while len(self._groups) > 1 and sum(table.nbytes for table in self._groups.values()) > MAX_CACHED_BYTES:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        rows = self._groups[group].slice(number - self._starts[group], 1).to_pylist()
        return from_row(rows[0])

    def rows(self) -> list[dict[str, Any]]:
        """All samples without their images, as `tasks.evaluation.runner.questions.QuestionSource` has them."""
        names = [name for name in SCHEMA.names if name not in ("images", "benchmark", "task", "extra")]
        with pq.ParquetFile(self.path) as file:
            rows: list[dict[str, Any]] = file.read(columns=names).to_pylist()
        for row, (_, images) in zip(rows, self.outlines(), strict=True):
            row["image_id"], row["question_type"] = row.pop("group"), row.pop("vqa_type")
            row["sensor"] = images[0].sensor if images else ""
        return rows


def _ref(image: dict[str, Any]) -> BenchmarkImageRef:
    return BenchmarkImageRef(**{**image, "bands": tuple(image["bands"])})
