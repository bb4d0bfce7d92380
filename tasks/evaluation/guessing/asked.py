"""Questions as solvers without a model see them: the words, the chip, its scene, and the answer to learn from."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from tasks.core import tables
from tasks.dialogue.kinds import scored_exactly
from tasks.dialogue.verifier.meaning import meaning, measure
from tasks.quality.gist import form
from tasks.vlm.controls import kind_key
from tasks.vlm.samples import ImageRef, Samples, bare_question


@dataclass(frozen=True)
class Asked:
    """One turn whose answer is scored exactly."""

    id: str
    """As predictions name it."""
    sample_id: str
    chip_id: str
    """Of the first image."""
    scene: str
    """Item that this chip was cut from; empty where its shard does not say."""
    sensor: str
    modality: str
    images: tuple[ImageRef, ...]
    question_type: str
    question: str
    """Without tags and images."""
    meaning: str
    """What it asks, whatever its words: questions that mean the same are the same question."""
    answer: str

    @property
    def kind(self) -> Hashable:
        """How many images of which sensor and bands: only like is compared with like."""
        return kind_key(self.images)

    @property
    def form(self) -> str:
        """Its type and what answer its words ask for: a yes or no, a choice, a number of something."""
        return " ".join(filter(None, (self.question_type, form(self.question), measure(self.question))))


def turn_id(sample_id: str, turn: int) -> str:
    """What predictions call a turn of a sample, counted from 0."""
    return f"{sample_id} turn {turn}"


def asked_of(samples: Samples, labels: frozenset[str] = frozenset()) -> Iterator[Asked]:
    """Every turn of some samples whose answer is scored exactly, in their order.

    Args:
        samples: of a mixture.
        labels: of the data set's sources, by which questions are understood.
    """
    scenes = Scenes()
    for sample in samples:
        for turn, (kind, (question, answer)) in enumerate(zip(sample.question_types, sample.turns, strict=True)):
            if scored_exactly(kind, answer):
                yield Asked(
                    turn_id(sample.sample_id, turn),
                    sample.sample_id,
                    sample.chip_id,
                    scenes.of(sample.images[0]) if sample.images else "",
                    sample.sensor,
                    sample.modality,
                    sample.images,
                    kind,
                    bare := bare_question(question),
                    meaning(bare, labels),
                    answer,
                )


class Scenes:
    """The items that chips were cut from, shard by shard as they are asked for."""

    def __init__(self) -> None:
        self._shards: dict[str, dict[str, str]] = {}

    def of(self, image: ImageRef) -> str:
        """Item of the chip; empty where its shard has no such column, as those of imported data sets."""
        if image.shard not in self._shards:
            path = Path(image.shard)
            self._shards[image.shard] = dict(_items(path))
        return self._shards[image.shard].get(image.chip_id, "")


def _items(shard: Path) -> Iterator[tuple[str, str]]:
    with tables.whole(shard):
        known = "item_id" in pq.read_schema(shard).names
    if known:
        table = tables.read(shard, ["chip_id", "item_id"])
        yield from zip(table["chip_id"].to_pylist(), (item or "" for item in table["item_id"].to_pylist()), strict=True)
