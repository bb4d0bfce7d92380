"""Tables of any size in the order of a text column: dealt out to ranges of it on disk, each then sorted by itself.

One range is in memory at a time. polars and Arrow sort what fits into memory; a mixture of millions does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

RANGE = 100_000
"""Rows of one range, about."""


def bounds_of(keys: pa.ChunkedArray, rows: int) -> list[str]:
    """Texts that part rows into ranges of about `RANGE`.

    Args:
        keys: texts that the keys of rows begin with, spread as they are, in any order.
        rows: how many there are, about.
    """
    step = max(1, len(keys) * RANGE // max(rows, 1))
    return keys.combine_chunks().sort()[step::step].to_pylist() if len(keys) else []


def in_order(tables: Iterable[pa.Table], key: str, bounds: Sequence[str], work: Path) -> Iterator[pa.Table]:
    """The rows of `tables`, sorted by `key`, a range at a time; of one key as they come.

    Args:
        tables: of one schema.
        key: a column of texts.
        bounds: where ranges begin, sorted; any do, and those of `bounds_of` bound the memory.
        work: an empty folder for what is on disk meanwhile.
    """
    # NumPy compares bytes as Arrow sorts texts: by their UTF-8.
    edges = np.array([bound.encode() for bound in bounds], dtype=bytes)
    with ExitStack() as files:
        sinks: dict[int, pa.RecordBatchFileWriter] = {}
        for table in tables:
            texts = np.array([text.encode() for text in table[key].to_pylist()], dtype=bytes)
            places = np.searchsorted(edges, texts, side="right") if len(edges) else np.zeros(len(texts), int)
            order = np.argsort(places, kind="stable")
            found, starts = np.unique(places[order], return_index=True)
            for place, rows in zip(found.tolist(), np.split(order, starts[1:]), strict=True):
                if place not in sinks:
                    sink = files.enter_context(pa.OSFile(str(work / f"{place:06d}.arrow"), "wb"))
                    sinks[place] = files.enter_context(pa.ipc.new_file(sink, table.schema))
                sinks[place].write_table(table.take(pa.array(rows)))
    for place in sorted(sinks):
        path = work / f"{place:06d}.arrow"
        with pa.OSFile(str(path)) as source, pa.ipc.open_file(source) as file:
            yield file.read_all().sort_by(key)
        path.unlink()
