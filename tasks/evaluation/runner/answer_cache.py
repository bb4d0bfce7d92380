"""What a run has answered so far: chunks on disk, each written whole or not at all.

A chunk is so many questions, one after the other, as one control asks them. A run that was killed goes on with the
questions that have no answer yet; one that could not be asked is tried again, since its image may have been repaired.
The chunks belong to one fingerprint: of the model, the questions, the parameters and the code; with another one the run
starts anew, and says so.
"""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tasks.core import tables
from tasks.core.stage import atomic
from tasks.evaluation.runner.questions import Answer
from tasks.vlm.controls import ControlName
from tasks.vlm.world import World

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


@dataclass(frozen=True)
class AnswerCache:
    """The answers of one run: questions 0 to `count`, `size` a chunk."""

    folder: Path
    count: int
    size: int

    def begin(self, fingerprint: str, what: str) -> None:
        """Keep the chunks that were made from the same; remove others, and say so."""
        marker = self.folder / "fingerprint"
        if marker.is_file() and marker.read_text() == fingerprint:
            return
        if marker.is_file():
            logger.warning("%s: model, benchmark, parameters or code have changed; its answers are made anew", what)
        shutil.rmtree(self.folder, ignore_errors=True)
        with atomic(marker) as partial:
            partial.write_text(fingerprint)

    def __len__(self) -> int:
        """Chunks of each control."""
        return -(-self.count // self.size)

    def numbers(self, chunk: int) -> range:
        """The questions of a chunk."""
        return range(chunk * self.size, min(self.count, (chunk + 1) * self.size))

    def answered(self, control: ControlName | None, world: World) -> dict[int, list[Answer]]:
        """The answers there are to this process's chunks, which go round the processes by turns; no rejected ones."""
        return {
            chunk: [answer for answer in self._chunk(control, chunk) if not answer.rejected]
            for chunk in range(world.rank, len(self), world.size)
        }

    def write(self, control: ControlName | None, chunk: int, answers: list[Answer]) -> None:
        """Keep a chunk."""
        rows = [vars(answer) for answer in sorted(answers, key=lambda answer: answer.number)]
        tables.write_rows(rows, ANSWERS, self._path(control, chunk))

    def read(self, control: ControlName | None) -> list[Answer]:
        """All answers of a control, None for the questions as they are, in the order of the questions."""
        return [answer for chunk in range(len(self)) for answer in self._chunk(control, chunk)]

    def _chunk(self, control: ControlName | None, chunk: int) -> list[Answer]:
        path = self._path(control, chunk)
        return [Answer(**row) for row in tables.read(path).to_pylist()] if path.is_file() else []

    def _path(self, control: ControlName | None, chunk: int) -> Path:
        return self.folder / (control or "answer") / f"chunk-{chunk:05d}.parquet"
