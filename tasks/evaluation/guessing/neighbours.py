"""The nearest training chips by statistics of their bands, and what they were answered to the same question.

No network, no place in the image: of every band that the question shows, seven numbers. What these suffice for, a score
need not be proud of.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.earth.grid import stable_hash
from tasks.evaluation.guessing.asked import Asked
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.vlm.chip_reader import ShardReader, read_geotiff
from tasks.vlm.samples import ImageRef

PERCENTILES = (5, 25, 50, 75, 95)
"""Of the valid pixels of a band, beside their mean and standard deviation."""
Features = NDArray[np.float64]


class BandStatistics:
    """Statistics of the bands of images, each chip read once."""

    def __init__(self) -> None:
        self._shards = ShardReader()
        self._known: dict[tuple[str, str], dict[str, Features]] = {}

    def of(self, images: Sequence[ImageRef]) -> Features:
        """Mean, standard deviation and `PERCENTILES` of each band shown, one image after the other: (7 x bands,).

        A band without a valid pixel has NaN.

        Raises:
            TrainingError: a shard does not hold a chip, or a chip not its bands.
        """
        return np.concatenate([self._chip(image)[band] for image in images for band in image.bands])

    def _chip(self, image: ImageRef) -> dict[str, Features]:
        key = image.shard, image.chip_id
        if key not in self._known:
            planes = read_geotiff(self._shards.content(image), f"chip {image.chip_id} in {image.shard}")
            self._known[key] = {band: statistics(plane) for band, plane in planes.items()}
        return self._known[key]


def statistics(plane: NDArray[np.float32]) -> Features:
    """Mean, standard deviation and percentiles of the finite pixels of a band, (7,)."""
    valid = plane[np.isfinite(plane)].astype(np.float64)
    if not valid.size:
        return np.full(2 + len(PERCENTILES), np.nan)
    return np.array([valid.mean(), valid.std(), *np.percentile(valid, PERCENTILES)])


class Neighbours:
    """Answers by the nearest training chips that were asked the same question, shown the same bands."""

    def __init__(self, training: Iterable[Asked], count: int, most_chips: int) -> None:
        """Read the training chips.

        Args:
            training: questions with their answers.
            count: neighbours that vote.
            most_chips: of one sensor and one choice of bands that are read at most; of more a fixed choice.
        """
        self._count = count
        self._statistics = BandStatistics()
        answers: dict[Hashable, dict[tuple[ImageRef, ...], list[tuple[str, str]]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for asked in training:
            if asked.images:
                answers[asked.kind][asked.images].append((asked.meaning, normalise_text(asked.answer)))
        self.left_out = 0
        """Training chips that were not read."""
        self._chips: dict[Hashable, _Chips] = {}
        for kind, chips in answers.items():
            taken = sorted(chips, key=lambda images: stable_hash(f"neighbours/{images[0].chip_id}"))[:most_chips]
            self.left_out += len(chips) - len(taken)
            features = np.stack([self._statistics.of(images) for images in taken])
            self._chips[kind] = _Chips(features, [chips[images] for images in taken])

    def answer(self, asked: Asked) -> str | None:
        """What most of the nearest were answered, of several answers that of the nearest; None where none was asked."""
        if asked.kind not in self._chips:
            return None
        chips = self._chips[asked.kind]
        there = chips.asked.get(asked.meaning)
        if there is None:
            return None
        numbers, answers = there
        distance = chips.distances(self._statistics.of(asked.images))[numbers]
        nearest = np.argsort(distance, kind="stable")[: self._count]
        votes: Counter[str] = Counter(answers[place] for place in nearest.tolist())
        return max(votes, key=lambda answer: votes[answer])  # the first counted of several is the nearest


class _Chips:
    """Training chips of one kind, each statistic scaled by its spread over them."""

    def __init__(self, features: Features, answers: Sequence[Sequence[tuple[str, str]]]) -> None:
        known = np.isfinite(features)
        count = np.maximum(known.sum(0), 1)
        self._mean = np.where(known, features, 0).sum(0) / count
        spread = np.sqrt((np.where(known, features - self._mean, 0) ** 2).sum(0) / count)
        self._spread = np.where(spread > 0, spread, 1)
        self._features = self._scaled(features)
        by_question: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for number, pairs in enumerate(answers):
            for question, answer in pairs:
                by_question[question].append((number, answer))
        self.asked = {
            question: (np.array([number for number, _ in pairs]), [answer for _, answer in pairs])
            for question, pairs in by_question.items()
        }
        """For each question the chips that were asked it, and their answers."""

    def distances(self, features: Features) -> Features:
        """To every chip, (chips,)."""
        return np.asarray(np.linalg.norm(self._features - self._scaled(features), axis=1))

    def _scaled(self, features: Features) -> Features:
        """What is not known is taken for the mean."""
        return np.asarray(np.nan_to_num((features - self._mean) / self._spread, nan=0.0))
