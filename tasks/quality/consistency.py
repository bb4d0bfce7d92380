"""How many pairs of a dataset contradict another one about their chip; the check is `tasks.dialogue.consistency`."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.dialogue.consistency import contradictions
from tasks.dialogue.pairs import NOT_CHECKABLE, SUPPORTED, Judged, Pair, Verdict

COLUMNS = ["chip_id", "turns"]


def rows_of(folder: Path) -> Iterator[Mapping[str, Any]]:
    """Conversations under a folder such as data/qa, file by file.

    Raises:
        MissingInputError: there are none.
    """
    files = sorted(folder.glob("*/*/conversations.parquet"))
    if not files:
        raise MissingInputError(f"no conversation lies under {folder}; run `dvc repro qa`")
    for path in files:
        with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(batch_size=4096, columns=COLUMNS):
                yield from batch.to_pylist()


def count(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Pairs, and those that contradict another one about their chip.

    Args:
        rows: conversations; those of one chip need not follow each other.

    Returns:
        `{"chips", "pairs", "contradictory", "by_type": {question type: contradictory pairs}}`.
    """
    by_chip: dict[str, list[Judged]] = defaultdict(list)
    for row in rows:
        by_chip[row["chip_id"]] += map(_judged, row["turns"])
    found: Counter[str] = Counter()
    for judged in by_chip.values():
        found.update(judged[place].pair.question_type for place in contradictions(judged))
    return {
        "chips": len(by_chip),
        "pairs": sum(map(len, by_chip.values())),
        "contradictory": found.total(),
        "by_type": dict(sorted(found.items())),
    }


def _judged(turn: Mapping[str, Any]) -> Judged:
    pair = Pair(turn["question"], turn["answer"], turn["question_type"], tuple(turn["labels_used"]))
    return Judged(pair, Verdict(NOT_CHECKABLE if turn["verdict"] == NOT_CHECKABLE else SUPPORTED))
