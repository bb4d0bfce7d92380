"""What is new in a version of the dataset: scenes that came and went, chips, pairs, and how far the labels moved."""

import io
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.core import paths
from tasks.core.stage import address
from tasks.evaluation.names import RELEASED

Read = Callable[[str], bytes | None]
"""Bytes of a file of a version by its path; None where the version has no such file."""
NAMED = 20
"""Scenes that are named; the others are counted."""


@dataclass(frozen=True)
class SensorChanges:
    """Of one sensor."""

    sensor: str
    scenes: int
    added: Sequence[str]
    gone: Sequence[str]
    """Ids of STAC items."""
    chips: int
    pairs: int
    chips_before: int
    pairs_before: int
    drift: float | None
    """Total variation distance between the labels of the two versions, 0 (alike) to 1; None without one before."""


@dataclass(frozen=True)
class Changes:
    """Of a version against the one before."""

    sensors: Sequence[SensorChanges] = field(default_factory=tuple)

    def headline(self) -> str:
        """`21 scenes (+1 -0), 391 chips (+7), 1,776 pairs (+30)`."""
        scenes, chips, pairs = (sum(getattr(s, name) for s in self.sensors) for name in ("scenes", "chips", "pairs"))
        added, gone = (sum(len(getattr(s, name)) for s in self.sensors) for name in ("added", "gone"))
        more_chips, more_pairs = (
            sum(getattr(s, name) - getattr(s, f"{name}_before") for s in self.sensors) for name in ("chips", "pairs")
        )
        return (
            f"{scenes:,} scenes (+{added:,} -{gone:,}), {chips:,} chips ({more_chips:+,}), "
            f"{pairs:,} pairs ({more_pairs:+,})"
        )

    def text(self) -> str:
        """A line a sensor, then the scenes that came and went, by id."""
        lines = []
        for one in self.sensors:
            drift = "" if one.drift is None else f", labels moved by {one.drift:.3f}"
            lines.append(
                f"{one.sensor}: {one.scenes:,} scenes (+{len(one.added):,} -{len(one.gone):,}), {one.chips:,} chips "
                f"({one.chips - one.chips_before:+,}), {one.pairs:,} pairs ({one.pairs - one.pairs_before:+,}){drift}"
            )
        for title, name in (("Scenes added", "added"), ("Scenes gone", "gone")):
            ids = [scene for one in self.sensors for scene in getattr(one, name)]
            if ids:
                more = [f"and {len(ids) - NAMED:,} more"] if len(ids) > NAMED else []
                lines += ["", f"{title}:", *(f"  {scene}" for scene in (*ids[:NAMED], *more))]
        return "\n".join(lines)


def changes(sensors: Sequence[str], parts: Sequence[str], now: Read, before: Read) -> Changes:
    """Compare two versions of the dataset.

    Args:
        sensors: those of the new version.
        parts: of the grid, in the new version.
        now: reads a file of the new version.
        before: reads a file of the version before it.
    """
    return Changes(tuple(_sensor(sensor, parts, now, before) for sensor in sensors))


def _sensor(sensor: str, parts: Sequence[str], now: Read, before: Read) -> SensorChanges:
    scenes, scenes_before = _scenes(now, sensor), _scenes(before, sensor)
    labels, labels_before = _labels(now, sensor, parts), _labels(before, sensor, parts)
    chips, chips_before = (_count(read, "chips", "chips", sensor, parts) for read in (now, before))
    pairs, pairs_before = (_count(read, "qa", "pairs", sensor, parts) for read in (now, before))
    return SensorChanges(
        sensor, len(scenes), sorted(scenes - scenes_before), sorted(scenes_before - scenes), chips, pairs, chips_before,
        pairs_before, distance(labels, labels_before) if labels and labels_before else None,
    )  # fmt: skip


def distance(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Total variation distance of two counts, as shares of their sums: 0 alike, 1 nothing in common."""
    total, of_other = sum(one.values()), sum(other.values())
    return sum(abs(one.get(name, 0) / total - other.get(name, 0) / of_other) for name in {*one, *other}) / 2


def _scenes(read: Read, sensor: str) -> set[str]:
    import pyarrow.parquet as pq  # flows import this module, and most never come here

    content = read((paths.scenes(sensor) / "items.parquet").as_posix())
    return set() if content is None else set(pq.read_table(io.BytesIO(content), columns=["id"])["id"].to_pylist())


def _labels(read: Read, sensor: str, parts: Sequence[str]) -> Counter[str]:
    """How many windows have each label."""
    import pyarrow.parquet as pq

    contents = [read((paths.labels(sensor, part) / "labels.parquet").as_posix()) for part in parts]
    counts: Counter[str] = Counter()
    for content in filter(None, contents):
        for batch in pq.ParquetFile(io.BytesIO(content)).iter_batches(columns=["label"]):
            for pair in batch.column(0).value_counts():
                counts[pair["values"].as_py()] += pair["counts"].as_py()
    return counts


def _count(read: Read, stage: str, name: str, sensor: str, parts: Sequence[str]) -> int:
    """A count of a stage's summaries, over all parts."""
    total = 0
    for part in parts:
        content = read(paths.summary(address(stage, sensor, part)).as_posix())
        values: Mapping[str, Any] = {} if content is None else json.loads(content)
        total += int(values.get(name, 0))
    return total


def scores(now: Read) -> list[str]:
    """What the evaluation of the released model says, a line for all questions and one a modality; nothing without one.

    Args:
        now: reads a file of the version.
    """
    content = now((paths.evaluate(RELEASED) / "scores.json").as_posix())
    if content is None:
        return []
    values = json.loads(content)
    return [_score("all", values["overall"]), *(_score(name, one) for name, one in values["by_modality"].items())]


def _score(name: str, values: Mapping[str, Any]) -> str:
    """`all: accuracy 0.360 of 347 questions; majority 0.205, ...`, and so on with each control."""
    controls = ", ".join(
        f"{key} {value:.3f}" for key, value in values.items() if isinstance(value, float) and key != "accuracy"
    )
    return f"{name}: accuracy {values['accuracy']:.3f} of {values['n']:,} questions; {controls}"
