"""A shard of conversations verified once more, from the shard alone.

Each row carries the facts of its chip. Those of the pixels can be held against the pixels too, one decode a chip.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.dialogue.chip_facts import statistics
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import ACCEPTED, Pair, Verdict
from tasks.dialogue.series.facts import SeriesFacts, SeriesImage, cells_of, read_facts
from tasks.dialogue.series.verifier import judge_series
from tasks.dialogue.verifier import judge
from tasks.earth.sensors import SENSORS
from tasks.earth.series_measures import Cells

NAME = "conversations.parquet"
BATCH = 512
"""Conversations in memory."""
COLUMNS = ("conversation_id", "chip_id", "turns", "facts")
DIFFERENCES = pa.schema(
    [
        ("shard", pa.string()),
        ("conversation_id", pa.string()),
        ("chip_id", pa.string()),
        ("question", pa.string()),
        ("answer", pa.string()),
        ("question_type", pa.string()),
        ("stored", pa.string()),
        ("found", pa.string()),
        ("reason", pa.string()),
    ]
)
"""One row for every pair whose stored verdict is not the one found, and for every chip whose pixels say otherwise."""
CLOSE = 2e-4
"""Of a statistic of the pixels: it is stored with four decimals."""
CLOSE_CELLS = 2e-3
"""Of a cell of an image of a series: it is stored with three."""


@dataclass
class Verified:
    """What one shard holds."""

    path: Path
    pairs: Counter[str] = field(default_factory=Counter)
    """Pairs by the verdict found."""
    without_facts: int = 0
    """Pairs of rows that carry no facts, such as those of imported data sets."""
    chips: int = 0
    """Whose pixels were decoded."""
    differences: list[dict[str, Any]] = field(default_factory=list)


def shards(paths: Sequence[Path]) -> list[Path]:
    """Tables of conversations: each path itself, or those in a folder.

    Raises:
        MissingInputError: a path leads to none.
    """
    found: list[Path] = []
    for path in paths:
        here = [path] if path.is_file() else sorted(path.rglob(NAME)) if path.is_dir() else []
        if not here:
            raise MissingInputError(f"{path}: there is no {NAME} here; a shard is a folder such as data/qa/SENSOR/PART")
        found += here
    return list(dict.fromkeys(found))


def reverify(path: Path) -> Verified:
    """All pairs of one shard against the facts beside them.

    Raises:
        DamagedFileError: the file does not hold what was written to it.
        MissingInputError: it is no table of conversations of today's layout.
    """
    out = Verified(path)
    known: tuple[str, ChipFacts | SeriesFacts | None] = ("", None)
    for row in _rows(path):
        turns = row["turns"]
        if not row["facts"]:
            out.without_facts += len(turns)
            continue
        if row["facts"] != known[0]:  # conversations of one chip stand together
            known = (row["facts"], _facts(row, path))
        facts = known[1]
        assert facts is not None
        pairs = [
            Pair(turn["question"], turn["answer"], turn["question_type"], (), follows=number > 0)
            for number, turn in enumerate(turns)
        ]
        for turn, verdict in zip(turns, verdicts(facts, pairs), strict=True):
            out.pairs[verdict.state] += 1
            if verdict.state != turn["verdict"] and turn["verdict"] != ACCEPTED:
                out.differences.append(
                    _difference(path, row, turn, found=verdict.state, stored=turn["verdict"], reason=verdict.reason)
                )
    return out


def verdicts(facts: ChipFacts | SeriesFacts, pairs: Sequence[Pair]) -> list[Verdict]:
    """Verdicts of pairs about a chip or a series, in their order."""
    return judge_series(facts, pairs) if isinstance(facts, SeriesFacts) else judge(facts, pairs)


def against_pixels(verified: Verified, chips: Path) -> None:
    """Hold the statistics of a shard's chips against their pixels; adds to `verified`.

    Args:
        verified: of the shard.
        chips: folder of the shards of chips; chips that it lacks are differences.
    """
    wanted: dict[str, tuple[Mapping[str, Any], ChipFacts | SeriesImage]] = {}
    for one in _rows(verified.path):
        if one["facts"] and one["chip_id"] not in wanted:
            facts = _facts(one, verified.path)
            if isinstance(facts, SeriesFacts):
                wanted |= {image.chip_id: (one, image) for image in facts.images}
            else:
                wanted[one["chip_id"]] = (one, facts)
    for shard in sorted(chips.rglob("shard-*.parquet")):
        with tables.whole(shard), pq.ParquetFile(shard, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                names = file.read_row_group(group, columns=["chip_id"])["chip_id"].to_pylist()
                if not wanted.keys() & set(names):
                    continue
                for chip in file.read_row_group(group, columns=["chip_id", "pixels"]).to_pylist():
                    if chip["chip_id"] in wanted:
                        own, image = wanted.pop(chip["chip_id"])
                        _compare(verified, own, image, chip["pixels"], f"chip {chip['chip_id']} in {shard}")
    for row, _ in wanted.values():
        verified.differences.append(_difference(verified.path, row, reason=f"{chips} has no such chip"))


def _compare(out: Verified, row: Mapping[str, Any], facts: ChipFacts | SeriesImage, pixels: bytes, what: str) -> None:
    if facts.sensor not in SENSORS:
        out.differences.append(_difference(out.path, row, reason=f"there is no sensor '{facts.sensor}'"))
        return
    out.chips += 1
    if isinstance(facts, SeriesImage):
        cells, kept = cells_of(facts.sensor, pixels, what), facts.cells
        wrong = [name for name in sorted({*cells, *kept}) if not _agree(cells.get(name, ()), kept.get(name, ()))]
        shown: list[Any] = [cells.get(name) for name in wrong]
    else:
        found, stored = statistics(facts.sensor, pixels, what), facts.pixels
        wrong = [
            name
            for name in sorted({*found, *stored})
            if found.get(name, {}).keys() != stored.get(name, {}).keys()
            or not all(math.isclose(found[name][key], stored[name][key], abs_tol=CLOSE) for key in found[name])
        ]
        shown = [found.get(name) for name in wrong]
    if wrong:
        reason = f"the pixels say otherwise of {', '.join(wrong)}: {shown}"
        out.differences.append(_difference(out.path, row, reason=reason))


def _agree(found: Cells, stored: Cells) -> bool:
    """Whether two grids have the same cells, and nearly the same values in them."""
    return len(found) == len(stored) and all(
        a is b if a is None or b is None else math.isclose(a, b, abs_tol=CLOSE_CELLS)
        for a, b in zip(found, stored, strict=True)
    )


def find_facts(paths: Sequence[Path], column: str, value: str) -> ChipFacts | SeriesFacts | None:
    """The facts that a conversation carries, of the first one found; None if there is none.

    Args:
        paths: of tables of conversations.
        column: conversation_id or chip_id.
        value: in that column.

    Raises:
        DamagedFileError, MissingInputError: as `reverify`.
    """
    for path in paths:
        with _opened(path):
            table = pq.read_table(path, columns=list(COLUMNS), filters=[(column, "=", value)])
        for row in table.slice(0, 1).to_pylist():
            if row["facts"]:
                return _facts(row, path)
    return None


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with _opened(path) as file:
        for batch in file.iter_batches(BATCH, columns=list(COLUMNS)):
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        lacking = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if lacking:
            raise MissingInputError(
                f"{path} has no column {', '.join(lacking)}: it is no table of conversations, or one of an earlier "
                "version; make it anew: `dvc repro qa`"
            )
        yield file


def _facts(row: Mapping[str, Any], path: Path) -> ChipFacts | SeriesFacts:
    try:
        return read_facts(row["facts"])
    except ValueError as error:
        raise MissingInputError(f"{path}, conversation {row['conversation_id']}: {error}") from error


def _difference(
    path: Path,
    row: Mapping[str, Any],
    turn: Mapping[str, Any] | None = None,
    *,
    stored: str = "",
    found: str = "",
    reason: str,
) -> dict[str, Any]:
    return {
        "shard": path.as_posix(),
        "conversation_id": row["conversation_id"],
        "chip_id": row["chip_id"],
        "question": turn["question"] if turn else "",
        "answer": turn["answer"] if turn else "",
        "question_type": turn["question_type"] if turn else "",
        "stored": stored,
        "found": found,
        "reason": reason,
    }
