"""Shards of chips: which scenes go together, by what they hold and not by their number, and how they are written.

A shard ends after a scene whose own hash says so, as likely as the scene is large. So a scene that is added or
withdrawn changes the shard that it lies in, or divides or joins two, and all others keep their bytes: content-defined
chunking, of scenes instead of bytes. A scene larger than a shard has shards of its own. Memory holds a row group, never
a shard.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow as pa

from tasks.core import tables
from tasks.earth import chip_schema
from tasks.earth.grid import stable_hash

ItemKey = tuple[str, str]
"""Collection and id of an item: ids are unique within their collection only."""
SHORTEST, LONGEST = 0.5, 2.0
"""Chips of a shard, in sizes of a shard: below the one none ends, above the other it must."""


@dataclass(frozen=True)
class Shard:
    """What goes into one file, or into the several files of one large scene."""

    scenes: tuple[ItemKey, ...]
    windows: int

    @property
    def name(self) -> str:
        """Of its file, by its first scene, with a number where one scene has several."""
        return f"shard-{stable_hash('/'.join(self.scenes[0])):016x}"


def plan_shards(windows: Mapping[ItemKey, int], size: int) -> list[Shard]:
    """Which scenes go together, in order of collection and id.

    Args:
        windows: selected ones of each scene.
        size: chips a shard, on average.
    """
    shards: list[Shard] = []
    scenes: list[ItemKey] = []
    held = 0

    def end() -> None:
        nonlocal held
        if scenes:
            shards.append(Shard(tuple(scenes), held))
        scenes.clear()
        held = 0

    for key in sorted(windows):
        count = windows[key]
        if count > size or held + count > LONGEST * size:
            end()
        scenes.append(key)
        held += count
        # Uniform in [0, 1), the same on every machine and whatever lies beside the scene.
        drawn = stable_hash(f"end of a shard/{'/'.join(key)}") / 2**64
        if count > size or (held >= SHORTEST * size and drawn < count / ((1 - SHORTEST) * size)):
            end()
    end()
    return shards


def write_shard(shard: Shard, batches: Iterable[pa.RecordBatch], folder: Path, size: int) -> tuple[int, int]:
    """Write the chips of a shard, in row groups of `chip_schema.GROUP`; returns how many files and chips there were.

    Args:
        shard: names the files.
        batches: its chips, some at a time.
        folder: gets a file, or several alike in size where one scene alone is larger than a shard.
        size: chips a shard, on average.
    """
    groups = _row_groups(batches, chip_schema.GROUP)
    files = round(shard.windows / size) if len(shard.scenes) == 1 else 1
    most = -(-shard.windows // (chip_schema.GROUP * files)) if files > 1 else None
    made = chips = 0
    while (first := next(groups, None)) is not None:
        rest = groups if most is None else islice(groups, most - 1)
        path = folder / f"{shard.name}{f'-{made:02d}' if files > 1 else ''}.parquet"
        chips += tables.write_groups(chain([first], rest), chip_schema.SCHEMA, path, geometry="geometry")
        made += 1
    return made, chips


def _row_groups(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """The same rows in tables of `rows`, the last one shorter."""
    held = chip_schema.SCHEMA.empty_table()
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        whole = held.num_rows - held.num_rows % rows
        for start in range(0, whole, rows):
            yield held.slice(start, rows).combine_chunks()
        held = held.slice(whole)
    if held.num_rows:
        yield held.combine_chunks()
