"""What each sample of a mixture costs, measured once, by all processes together, and kept for a resumed run.

Of millions of samples it takes minutes: every one is tokenised to know its length.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tasks.core import log
from tasks.core.stage import atomic, read_json, write_json
from tasks.training.packing import Ints
from tasks.vlm.samples import Sample, Samples
from tasks.vlm.world import World

CHUNK = 4096
"""Samples in memory at a time."""
COLUMNS = 5
"""Tokens, band groups, targets, tiles and repeats, in the order of `schedule.Sizes`."""
Rejected = list[dict[str, str]]
SampleCosts = tuple[list[tuple[int, ...]], Rejected]
"""For each sample that can be used its place among those asked about and `COLUMNS` numbers; the others, with why."""


def measure_costs(
    samples: Samples, cost: Callable[[Sequence[Sample]], SampleCosts], folder: Path, name: str, world: World
) -> tuple[Ints, Ints, Rejected]:
    """Measure all samples, or take what was found before.

    Args:
        samples: of one split.
        cost: measures some of them.
        folder: seen by all processes, emptied whenever samples or tokenizer are others.
        name: of the split.
        world: who shares the work; each process takes every so many-th chunk.

    Returns:
        Index of each sample that can be used, ascending; its costs (N, `COLUMNS`); the rejected ones.
    """
    parts = [folder / f"{name}-{rank}-of-{world.size}.npy" for rank in range(world.size)]
    mine = parts[world.rank]
    if not mine.is_file():
        found, rejected = _share(samples, cost, world)
        write_json(mine.with_suffix(".json"), rejected)
        with atomic(mine) as partial, partial.open("wb") as file:
            np.save(file, found)
    world.wait()
    whole = np.concatenate([np.load(part) for part in parts])
    whole = whole[np.argsort(whole[:, 0])]
    return whole[:, 0], whole[:, 1:], [row for part in parts for row in read_json(part.with_suffix(".json"))]


def _share(samples: Samples, cost: Callable[[Sequence[Sample]], SampleCosts], world: World) -> tuple[Ints, Rejected]:
    """(N, 1 + COLUMNS) of this process's chunks."""
    rows: list[tuple[int, ...]] = []
    rejected: Rejected = []
    starts = range(world.rank * CHUNK, len(samples), world.size * CHUNK)
    for start in log.progress(starts, "measuring samples") if world.is_first else starts:
        good, bad = cost(list(samples.keep(range(start, min(start + CHUNK, len(samples))))))
        rows += [(start + place, *costs) for place, *costs in good]
        rejected += bad
    return np.array(rows, np.int64).reshape(-1, 1 + COLUMNS), rejected
