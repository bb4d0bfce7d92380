"""The demo's own held-out split as one more benchmark: turns of a test conversation, after the true ones before.

Only turns whose answer is right in no other words are asked: a caption, a box or a whole sentence can be right and
match nothing. How many are left out, of which kind, is counted.

Chips are calibrated when they are made; nothing of a picture is guessed here.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.dialogue import boxes
from tasks.dialogue.kinds import OPEN, scored_exactly
from tasks.earth.display_sensors import known_sensor
from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.guessing.asked import turn_id
from tasks.evaluation.runner.questions import BenchmarkQuestion, QuestionImage
from tasks.evaluation.runner.sensor_images import CalibratedImage, Kind
from tasks.vlm.chip_reader import ShardReader, read_geotiff
from tasks.vlm.samples import ImageRef, bare_question, read_samples


@dataclass(frozen=True)
class ChipImage:
    """A chip as a sample shows it. One of `tasks.evaluation.runner.questions.QuestionImage`."""

    ref: ImageRef
    shards: ShardReader

    @property
    def sensor(self) -> str:
        """Name of the sensor."""
        return self.ref.sensor

    @property
    def bands(self) -> Sequence[str]:
        """In the order they are shown."""
        return self.ref.bands

    @property
    def key(self) -> str:
        """The chip and its bands."""
        return repr((self.ref.shard, self.ref.chip_id, self.ref.bands))

    @property
    def date(self) -> datetime | None:
        """When it was taken, in UTC."""
        return self.ref.datetime

    def kind(self) -> Kind:
        """Its sensor and bands."""
        return Kind(known_sensor(self.ref.sensor), self.ref.bands)

    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.ref.width, self.ref.height

    def read(self) -> CalibratedImage:
        """Its planes.

        Raises:
            TrainingError: the shard does not hold the chip, or the chip not the bands: no question's fault.
        """
        planes = read_geotiff(self.shards.content(self.ref), f"chip {self.ref.chip_id} in {self.ref.shard}")
        return CalibratedImage(self.kind(), {band: planes[band] for band in self.ref.bands if band in planes})


class HeldOut:
    """The questions of the last stage's test mixture. One of `tasks.evaluation.runner.questions.QuestionSource`."""

    name, task, modality = HELD_OUT.name, HELD_OUT.task, HELD_OUT.modality
    box_form = boxes.DEFAULT
    """That of all conversations of this project's own."""

    def __init__(
        self,
        path: Path | None = None,
        modality_alone: str | None = None,
        scored: Callable[[str, str], bool] = scored_exactly,
    ) -> None:
        """Open it.

        Args:
            path: the table of a mixture, None for that of the last training stage.
            modality_alone: the samples that are shown so, None for all.
            scored: whether an answer of a question type is asked for and scored word for word.

        Raises:
            MissingInputError: there is no such table.
            EmptyStageError: it has no sample.
        """
        self.path = path or paths.mixture("3") / "test.parquet"
        self._samples = read_samples(self.path)
        if modality_alone is not None:
            shown = [number for number, one in enumerate(self._samples) if one.modality == modality_alone]
            self._samples = self._samples.keep(shown)
        if not len(self._samples):
            raise EmptyStageError(
                f"{self.path}: the mixture of stage 3 has no test sample; see data/split and split.test"
            )
        self._shards = ShardReader()
        self._places: list[tuple[int, int]] = []
        """(sample, turn) of each question."""
        left_out: Counter[str] = Counter()
        for number, sample in enumerate(self._samples):
            for turn, (kind, (_, answer)) in enumerate(zip(sample.question_types, sample.turns, strict=True)):
                if scored(kind, answer):
                    self._places.append((number, turn))
                else:
                    left_out[kind if kind in OPEN else "in a sentence"] += 1
        if not self._places:
            raise EmptyStageError(
                f"{self.path}: none of its {left_out.total()} answers is a word or a few, so that none can be scored; "
                "see qa.short_answers and qa.kinds"
            )
        self.record: dict[str, Any] = {
            "source": "mixture",
            "comparable": True,
            "digest": _digest([self.path]),
            "rejected": {},
            "not_scored": dict(sorted(left_out.items())),
        }

    def __len__(self) -> int:
        """Turns that are asked."""
        return len(self._places)

    @property
    def digest(self) -> str:
        """Hash of the table and of every shard that it names."""
        shards = {image.shard for sample in self._samples for image in sample.images}
        return _digest([self.path, *map(Path, sorted(shards))])

    def outlines(self) -> list[tuple[str, Sequence[QuestionImage]]]:
        """(window, images) of every question. The window is the first chip's: one place on two dates is not another."""
        windows = self._windows()
        samples = [self._samples[number] for number, _ in self._places]
        return [(windows[sample.chip_id], self._images(sample.images)) for sample in samples]

    def question(self, number: int) -> BenchmarkQuestion:
        """A turn, after the true turns before it."""
        place, turn = self._places[number]
        sample = self._samples[place]
        turns = (*sample.turns[:turn], (sample.turns[turn][0], ""))
        return BenchmarkQuestion(number, turns, self._images(sample.images), self.box_form)

    def rows(self) -> list[dict[str, Any]]:
        """All turns that are asked, as `tasks.evaluation.runner.questions.QuestionSource` has them."""
        return [
            {
                "id": turn_id(sample.sample_id, turn),
                "split": HELD_OUT.split,
                "image_id": sample.chip_id,
                "sensor": sample.sensor,
                "modality": sample.modality,
                "question_type": sample.question_types[turn],
                "size_group": "",
                "answer_type": "text",
                "options": [],
                "question": bare_question(question),
                "references": [truth],
                "boxes": [],
            }
            for sample, turn in ((self._samples[number], turn) for number, turn in self._places)
            for question, truth in (sample.turns[turn],)
        ]

    def _images(self, refs: Sequence[ImageRef]) -> tuple[ChipImage, ...]:
        return tuple(ChipImage(ref, self._shards) for ref in refs)

    def _windows(self) -> dict[str, str]:
        """The window of each chip that a sample shows: <window_id>_<item_id> is the chip's name."""
        found: dict[str, str] = {}
        for shard in sorted({image.shard for sample in self._samples for image in sample.images}):
            known = "window_id" in pq.read_schema(shard).names  # a frozen set keeps no more than it must
            table = tables.read(Path(shard), ["chip_id", "window_id" if known else "item_id"])
            for chip, name in zip(*(column.to_pylist() for column in table.itercolumns()), strict=True):
                found[chip] = name if known else chip.removesuffix(f"_{name}")
        return found


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        with path.open("rb") as file:
            digest.update(f"{path} {hashlib.file_digest(file, 'blake2b').hexdigest()}\n".encode())
    return digest.hexdigest()
