"""Arrow shards as `datasets.save_to_disk` writes them: listed, checked for wholeness, read in ranges of rows.

Read with pyarrow alone, memory-mapped: nothing is unpickled and no code of a data set runs. A stream that was cut
short is found by its missing end marker before a row of it is used.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from tasks.core.errors import EarthloomError

STATE = "state.json"
"""The file in which a saved data set lists its shards."""
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
_NUMBERED = re.compile(r"-(\d+)-of-(\d+)\.arrow$")


class ShardError(EarthloomError):
    """What is wrong with a shard, and what to do; the name of the file belongs in front of the message."""


def listed_shards(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Names of all shards a folder should have: what state.json lists, else what the names say of themselves.

    Returns:
        The names, in order, whether their files are there or not; and what cannot be read or is refused, by name: why.
    """
    refused: dict[str, str] = {}
    if (folder / STATE).is_file():
        try:
            listed = [str(entry["filename"]) for entry in json.loads((folder / STATE).read_text())["_data_files"]]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            refused[STATE] = f"is not what `save_to_disk` writes ({type(error).__name__}: {error})"
        else:
            # Others wrote these names: they lead to files of this folder and nowhere else.
            outside = [name for name in listed if Path(name).name != name]
            refused |= dict.fromkeys(outside, "lies outside its folder, and is not followed")
            return [name for name in listed if name not in outside], refused
    found = sorted(path.name for path in folder.glob("data-*.arrow"))
    numbered = [match for match in map(_NUMBERED.search, found) if match]
    if not numbered or len({match[2] for match in numbered}) > 1:
        return found, refused
    stem = found[0][: numbered[0].start()]
    return [f"{stem}-{index:05d}-of-{numbered[0][2]}.arrow" for index in range(int(numbered[0][2]))], refused


def check_whole(path: Path) -> None:
    """Refuse a shard that is not there, or whose stream does not end as one does.

    Raises:
        ShardError: missing, or cut short.
    """
    if not path.is_file():
        raise ShardError("is missing: it was never downloaded, or never published")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(END_OF_STREAM)))
        if file.read() != END_OF_STREAM:
            raise ShardError(f"is cut short after {path.stat().st_size} bytes: download it again")


def count(path: Path) -> tuple[int, tuple[str, ...]]:
    """Rows and columns of one shard, from its messages' headers.

    Raises:
        ShardError: missing, cut short, or no Arrow stream.
    """
    check_whole(path)
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            columns = tuple(stream.schema.names)
            return sum(batch.num_rows for batch in stream), columns
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error


def read_rows(
    path: Path, start: int = 0, stop: int | None = None, columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows from `start` up to `stop`, in batches that stay on disk until they are used.

    Args:
        path: of the shard.
        start: number of the first row.
        stop: number after the last; None: to the end.
        columns: the ones to read; all if not given.

    Raises:
        ShardError: the bytes behind the rows are damaged.
    """
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            first = 0
            for batch in stream:
                end = first + batch.num_rows
                low, high = max(start, first), end if stop is None else min(stop, end)
                if low < high:
                    rows = batch.slice(low - first, high - low)
                    rows = rows if columns is None else rows.select(list(columns))
                    rows.validate(full=True)
                    yield rows
                first = end
                if stop is not None and first >= stop:
                    break
    except (pa.ArrowException, OSError) as error:
        raise _damaged(error) from error


def _damaged(error: BaseException) -> ShardError:
    first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ShardError(f"is damaged ({first_line}): download it again")
