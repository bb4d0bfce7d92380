"""The check: a mixture streamed past a benchmark, every pair that matches, and the share of questions it spoils."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from tasks.core.errors import EmptyStageError
from tasks.core.log import progress
from tasks.core.stage import fingerprint
from tasks.evaluation.leakage import footprints, minhash, perceptual_hash
from tasks.evaluation.leakage.hamming import HashIndex
from tasks.evaluation.leakage.sides import Side, SideImage, SideSample
from tasks.evaluation.leakage.text_matches import COMMON, TextMatcher

KINDS = ("exact-image", "near-image", "text", "question", "place")
WEAK = ("question",)
"""Reported, but not counted as leaked: templates make the same question with the same answer in many data sets."""
COARSE = 7
"""Bits of 64 in which two images may differ. Re-encoding, resizing and brightening change fewer; in 1,585,080
comparisons of chips of different ground none came below 11 (tests/tasks/evaluation/leakage/test_false_alarms.py)."""
FINE = 64
"""Bits of 256 in which they may differ; the same comparisons never came below 83."""
IMAGES, ASKED = 256, 4096
"""Taken from the stream at a time."""
PAIRS = pa.schema(
    [
        ("benchmark_id", pa.string()),
        ("training_id", pa.string()),  # the first sample, by name, that has the image or text
        ("kind", pa.string()),
        (
            "distance",
            pa.float64(),
        ),  # exact-image: 0; near-image: bits of 64; text: 1 - Jaccard; place: share not covered
        ("benchmark_image", pa.string()),
        ("training_image", pa.string()),
        ("training_samples", pa.int64()),  # samples that have it
    ]
)
T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Match:
    """Two images that are one, or show one ground."""

    benchmark: str
    training: str
    kind: str
    distance: float


@dataclass(frozen=True)
class CheckResult:
    """What a check found."""

    pairs: list[Row]
    """Rows of `PAIRS`, sorted."""
    summary: dict[str, Any]


def check(training: Side, benchmark: Side, names: tuple[str, str]) -> CheckResult:
    """Hold a benchmark against a training side.

    Args:
        training: streamed.
        benchmark: indexed in memory: about 1 KB an image and question, pixels are not kept.
        names: of training and benchmark, for the summary.

    Raises:
        EmptyStageError: the benchmark has no question.
    """
    questions = list(benchmark.samples())
    if not questions:
        raise EmptyStageError(f"{benchmark.path} has no question to check")
    index = ImageMatcher(progress(benchmark.images(), f"{names[1]}: images", benchmark.image_count()))
    matches: list[Match] = []
    seen = 0
    stream = progress(training.images(), f"{names[0]}: images", training.image_count())
    for block in blocks(stream, IMAGES):
        seen += len(block)
        matches += index.matches(block)
    texts = TextMatcher(questions)
    of_image = _SamplesOfImages({match.training for match in matches})
    samples = 0
    for group in blocks(progress(training.samples(), f"{names[0]}: texts"), ASKED):
        samples += len(group)
        of_image.add(group)
        texts.add(group)
    shared = texts.shared()
    pairs = [
        *_image_pairs(matches, questions, of_image),
        *(_row(one.benchmark, one.training, one.kind, one.distance, "", "", one.samples) for one in shared),
    ]
    pairs.sort(key=_order)
    summary = {
        "training": names[0],
        "benchmark": names[1],
        "samples": len(questions),
        "images": len(index.keys) + len(benchmark.unreadable),
        "training_samples": samples,
        "training_images": seen + len(training.unreadable),
        "leaked": _leaked(pairs, len(questions)),
        "checked": {
            "images": len(index.keys),
            "images_without_structure": int(index.flat.sum()),
            "places": len(index.places),
            "samples_with_words": texts.informative,
            "templates": texts.templates,
        },
        "unreadable": {"benchmark": benchmark.unreadable[:20], "training": training.unreadable[:20]},
        "unreadable_count": {"benchmark": len(benchmark.unreadable), "training": len(training.unreadable)},
        "limits": {"coarse_bits": COARSE, "fine_bits": FINE, "jaccard": minhash.MIN_JACCARD, "common": COMMON},
        "inputs": {"training": fingerprint(training.path), "benchmark": fingerprint(benchmark.path)},
    }
    return CheckResult(pairs, summary)


class ImageMatcher:
    """The benchmark's images, ready to be recognised."""

    def __init__(self, images: Iterable[SideImage]) -> None:
        self.keys: list[str] = []
        self._exact: dict[bytes, set[int]] = defaultdict(set)
        grounds: list[footprints.Footprint | None] = []
        coarse: list[perceptual_hash.Words] = []
        fine: list[perceptual_hash.Words] = []
        flat = []
        for block in blocks(images, IMAGES):
            for picture in block:
                for digest in perceptual_hash.digests(picture.pixels):
                    self._exact[digest].add(len(self.keys))
                self.keys.append(picture.key)
                grounds.append(picture.footprint)
            low, without = _frequencies(block)
            turned = perceptual_hash.oriented(low).reshape(-1, perceptual_hash.FINE, perceptual_hash.FINE)
            for words, kept in zip(perceptual_hash.perceptual(turned), (coarse, fine), strict=True):
                kept.append(words)
            flat.append(without)
        self.flat = np.concatenate(flat) if flat else np.empty(0, bool)
        self._fine = np.concatenate(fine) if fine else np.empty((0, 4), np.uint64)
        self._coarse = HashIndex(np.concatenate(coarse) if coarse else np.empty(0, np.uint64))
        self.places = footprints.PlaceIndex(grounds)

    def matches(self, block: Sequence[SideImage]) -> list[Match]:
        """Every match of some training images; an image that is the same is not reported again as near."""
        by_pair = {
            (query, entry): Match(self.keys[entry], picture.key, "exact-image", 0.0)
            for query, picture in enumerate(block)
            for digest in perceptual_hash.digests(picture.pixels)
            for entry in self._exact.get(digest, ())
        }
        for query, entry, bits in self._near(block):
            by_pair.setdefault((query, entry), Match(self.keys[entry], block[query].key, "near-image", bits))
        found = list(by_pair.values())
        for query, entry, share in zip(*self.places.within([picture.footprint for picture in block]), strict=True):
            uncovered = round(max(0.0, 1 - float(share)), 6)
            found.append(Match(self.keys[entry], block[query].key, "place", uncovered))
        return found

    def _near(self, block: Sequence[SideImage]) -> Iterator[tuple[int, int, float]]:
        """(number in the block, number in the index, bits of 64); of several positions the nearest."""
        low, without = _frequencies(block)
        coarse, fine = perceptual_hash.perceptual(low)
        query, entry, bits = self._coarse.within(coarse, COARSE)
        confirmed = np.bitwise_count(fine[query] ^ self._fine[entry]).sum(-1) <= FINE
        image = entry // perceptual_hash.ORIENTATIONS
        confirmed &= ~without[query] & ~self.flat[image]
        nearest: dict[tuple[int, int], int] = {}
        for one, other, distance in zip(query[confirmed], image[confirmed], bits[confirmed], strict=True):
            pair = (int(one), int(other))
            nearest[pair] = min(int(distance), nearest.get(pair, COARSE))
        for (one, other), distance in sorted(nearest.items()):
            yield one, other, float(distance)


def _frequencies(block: Sequence[SideImage]) -> tuple[Any, Any]:
    reduced = np.stack([perceptual_hash.luminance(picture.pixels, picture.bands) for picture in block])
    return perceptual_hash.frequencies(reduced), perceptual_hash.flat(reduced)


class _SamplesOfImages:
    """Which training samples show some images: the first by name, and how many."""

    def __init__(self, wanted: set[str]) -> None:
        self._first: dict[str, str] = {}
        self._count = Counter[str]()
        self._wanted = wanted

    def add(self, group: Sequence[SideSample]) -> None:
        for sample in group:
            for key in set(sample.images) & self._wanted:
                self._first[key] = min(sample.id, self._first.get(key, sample.id))
                self._count[key] += 1

    def of(self, key: str) -> tuple[str, int]:
        return self._first[key], self._count[key]


def _image_pairs(matches: Sequence[Match], questions: Sequence[SideSample], owners: _SamplesOfImages) -> Iterator[Row]:
    by_image: dict[str, list[Match]] = defaultdict(list)
    for match in matches:
        by_image[match.benchmark].append(match)
    for sample in questions:
        for key in dict.fromkeys(sample.images):
            for match in by_image.get(key, ()):
                first, count = owners.of(match.training)
                yield _row(sample.id, first, match.kind, match.distance, key, match.training, count)


def _row(sample: str, training: str, kind: str, distance: float, image: str, other: str, count: int) -> Row:
    values = (sample, training, kind, distance, image, other, count)
    return dict(zip(PAIRS.names, values, strict=True))


def _order(row: Row) -> tuple[Any, ...]:
    return (row["benchmark_id"], KINDS.index(row["kind"]), row["distance"], row["training_id"], row["training_image"])


def _leaked(pairs: Sequence[Row], samples: int) -> dict[str, dict[str, float]]:
    """Questions with a match of each kind, of either kind of image, of any kind but the weak; and shares, 0 to 1."""
    affected: dict[str, set[str]] = {kind: set() for kind in (*KINDS, "image", "any")}
    for row in pairs:
        kinds = [row["kind"]]
        if row["kind"].endswith("image"):
            kinds.append("image")
        if row["kind"] not in WEAK:
            kinds.append("any")
        for kind in kinds:
            affected[kind].add(row["benchmark_id"])
    return {kind: {"n": len(ids), "share": round(len(ids) / samples, 6)} for kind, ids in affected.items()}


def blocks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of `size` items, the last shorter."""
    iterator = iter(items)
    while block := list(islice(iterator, size)):
        yield block
