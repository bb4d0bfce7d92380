"""What a benchmark becomes: one row a question, the same columns for every benchmark, as Parquet.

`bench import` writes a folder of samples.parquet, quarantine.parquet and import.json; running a model and scoring
its answers read nothing else.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import tables
from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.owner_boxes import Box

Format = Literal["jpeg", "png", "tiff", "bmp", "gif", "npy"]
AnswerType = Literal["class", "labels", "yes_no", "number", "ordinal", "text", "choice", "boxes", "caption", "grounded"]
"""class: one of `options`; labels: several of them; ordinal: one of `options`, which are in order; choice: the
letters of one or more of `options`; grounded: text with boxes in it."""

IMAGE = pa.struct(
    [
        ("path", pa.string()),  # relative to the folder of samples.parquet; empty where `data` holds the image
        ("data", pa.binary()),  # the image itself, or null
        ("format", pa.string()),  # jpeg, png, tiff, bmp, gif, or npy: float32 [bands, height, width]
        ("sensor", pa.string()),  # EarthDial's tag, such as [hr_rgb_0.5]
        ("bands", pa.list_(pa.string())),  # names in order; empty for a picture
        ("date", pa.string()),  # ISO 8601, where the owner tells it
        ("width", pa.int32()),
        ("height", pa.int32()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # unique in the benchmark
        ("benchmark", pa.string()),
        ("split", pa.string()),
        ("task", pa.string()),  # the scorer: classification, vqa, detection, ...
        ("images", pa.list_(IMAGE)),  # in the order of the question's <image>
        ("question", pa.string()),  # with the published prompt head
        ("references", pa.list_(pa.string())),  # one truth, or several captions; boxes in EarthDial's form
        ("answer_type", pa.string()),
        (
            "boxes",
            pa.list_(pa.list_(pa.float64(), 5)),
        ),  # the true boxes as tasks.dialogue.boxes has them: cx, cy, w, h, angle
        ("options", pa.list_(pa.string())),  # the classes or choices offered
        ("size_group", pa.string()),
        ("vqa_type", pa.string()),
        ("group", pa.string()),  # the place or picture that questions share: what a bootstrap resamples
        ("extra", pa.string()),  # JSON: what else the owner tells of the question
    ]
)
QUARANTINE = tables.rejection_schema("id", "image")
"""One row for every question that could not be taken over."""


@dataclass(frozen=True)
class BenchmarkImageRef:
    """One image of a sample. The fields are those of `IMAGE`; an adapter gives `path` absolute."""

    path: str = ""
    data: bytes | None = None
    format: str = ""
    sensor: str = ""
    bands: tuple[str, ...] = ()
    date: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class BenchmarkSample:
    """One question. The fields are columns of `SCHEMA`."""

    id: str
    images: tuple[BenchmarkImageRef, ...]
    question: str
    references: tuple[str, ...]
    answer_type: str
    benchmark: str = ""
    split: str = ""
    task: str = ""
    boxes: tuple[Box, ...] = ()
    options: tuple[str, ...] = ()
    size_group: str = ""
    vqa_type: str = ""
    group: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The sample as a row of `SCHEMA`."""
        return {
            **vars(self),
            "images": [{**vars(image), "bands": list(image.bands)} for image in self.images],
            "references": list(self.references),
            "boxes": [list(box) for box in self.boxes],
            "options": list(self.options),
            "extra": json.dumps(dict(self.extra), ensure_ascii=False, sort_keys=True) if self.extra else "",
        }


@dataclass(frozen=True)
class Rejected:
    """A question that could not be taken over. `reason` is a code to group by, `detail` a sentence."""

    id: str
    reason: str
    detail: str
    image: str = ""


def read_samples(folder: Path) -> Iterator[BenchmarkSample]:
    """The samples of an imported benchmark, in their order, a row group at a time.

    Raises:
        BenchmarkError: the folder holds no samples.parquet.
    """
    path = folder / "samples.parquet"
    if not path.is_file():
        raise BenchmarkError(f"{path} is not there; `earthloom bench import NAME PATH` makes it")
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                yield from_row(row)


def from_row(row: Mapping[str, Any]) -> BenchmarkSample:
    """The sample of one row of `SCHEMA`."""
    return BenchmarkSample(
        **{
            **row,
            "images": tuple(BenchmarkImageRef(**{**image, "bands": tuple(image["bands"])}) for image in row["images"]),
            "references": tuple(row["references"]),
            "boxes": tuple(tuple(box) for box in row["boxes"]),
            "options": tuple(row["options"]),
            "extra": json.loads(row["extra"]) if row["extra"] else {},
        }
    )
