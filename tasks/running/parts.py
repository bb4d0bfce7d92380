"""What a run has done so far: answers in parts on disk, each written whole or not at all.

A part is so many samples of a benchmark, one after the other. A run that was killed goes on with the parts that are not
there yet. Parts belong to one fingerprint: of the model, the benchmark, the parameters and the code; with another one
the run starts anew, and says so.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa

from tasks.core import tables
from tasks.core.stage import atomic
from tasks.inference.world import World
from tasks.running.questions import Answer, Arm

logger = logging.getLogger(__name__)
ANSWERS = pa.schema(
    [
        ("number", pa.int64()),
        ("prompt", pa.string()),
        ("text", pa.string()),
        ("stop", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("rejected", pa.string()),
        ("detail", pa.string()),
    ]
)
"""One row an answer: the fields of `Answer`."""
LONGEST_WAIT = timedelta(days=30)
"""That one process waits for another at the end of a run."""


@contextmanager
def joined() -> Iterator[World]:
    """The processes that torchrun started, or this one alone. They share files and nothing else, so gloo will do."""
    rank, size, local = (int(os.environ.get(name, "0")) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if size < 2:
        yield World()
        return
    from torch import distributed

    distributed.init_process_group("gloo", rank=rank, world_size=size, timeout=LONGEST_WAIT)
    try:
        yield World(rank, size, local_rank=local)
    finally:
        distributed.destroy_process_group()


@dataclass(frozen=True)
class Parts:
    """The parts of one run: samples 0 to `count`, `size` a part."""

    folder: Path
    count: int
    size: int

    def begin(self, fingerprint: str, what: str) -> None:
        """Keep the parts that were made from the same; remove others, and say so."""
        marker = self.folder / "fingerprint"
        if marker.is_file() and marker.read_text() == fingerprint:
            return
        if marker.is_file():
            logger.warning("%s: model, benchmark, parameters or code have changed; its answers are made anew", what)
        shutil.rmtree(self.folder, ignore_errors=True)
        with atomic(marker) as partial:
            partial.write_text(fingerprint)

    def __len__(self) -> int:
        """Parts of each arm."""
        return -(-self.count // self.size)

    def numbers(self, part: int) -> range:
        """The samples of a part."""
        return range(part * self.size, min(self.count, (part + 1) * self.size))

    def missing(self, arm: Arm, world: World) -> list[int]:
        """The parts that this process has still to make; they go round the processes by turns."""
        return [part for part in range(world.rank, len(self), world.size) if not self._path(arm, part).is_file()]

    def write(self, arm: Arm, part: int, answers: list[Answer]) -> None:
        """Keep a part."""
        rows = [vars(answer) for answer in sorted(answers, key=lambda answer: answer.number)]
        tables.write_rows(rows, ANSWERS, self._path(arm, part))

    def read(self, arm: Arm) -> list[Answer]:
        """All answers of an arm, in the order of the samples."""
        paths = [self._path(arm, part) for part in range(len(self))]
        return [Answer(**row) for path in paths for row in tables.read(path).to_pylist()]

    def _path(self, arm: Arm, part: int) -> Path:
        return self.folder / arm / f"part-{part:05d}.parquet"
