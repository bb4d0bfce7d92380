"""Arrow folders as `datasets.save_to_disk` writes them: found, checked for wholeness, read in ranges of rows.

Read with pyarrow alone, memory-mapped: nothing is unpickled and no code of a data set runs. A stream that was cut
short is found by its missing end marker before a row of it is used.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from tasks.core.errors import EarthloomError

END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
SHARD = re.compile(r"-(\d+)-of-(\d+)\.arrow$")


class SourceError(EarthloomError):
    """A folder or a file of it cannot be read at all."""


@dataclass(frozen=True)
class Shard:
    """One Arrow file: its number in the data set, its rows, the columns it holds."""

    path: Path
    number: int
    rows: int
    columns: tuple[str, ...]


@dataclass
class Folder:
    """One saved data set: what can be read of it, and what cannot with the reason."""

    path: Path
    name: str
    names: tuple[str, ...]
    """What the registry is asked for: the set's name, and its split's if it is one of several."""
    below: tuple[str, ...]
    """The way to it from the folder that is imported."""
    shards: list[Shard] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def find_folders(root: Path) -> list[Folder]:
    """Every saved data set under `root`, itself included, in order of path. A split is part of its set's name.

    Raises:
        SourceError: there is none.
    """
    if not root.is_dir():
        raise SourceError(f"{root} is not a folder; give the folder that EarthDial-Instruct was downloaded to")
    places = sorted({path.parent for pattern in ("state.json", "*.arrow") for path in root.rglob(pattern)})
    # What `datasets` caches beside a set after a `map` repeats its rows.
    places = [place for place in places if list(place.glob("data-*.arrow")) or (place / "state.json").is_file()]
    if not places:
        raise SourceError(f"{root} holds no data set saved by `datasets.save_to_disk` (no state.json, no data-*.arrow)")
    top = root.resolve()
    folders = []
    for place in places:
        below = place.resolve().relative_to(top).parts
        way = (*top.parts[1:], *below)
        # What a split of a `DatasetDict` is of, its parent says.
        own = way[-2:] if (place.parent / "dataset_dict.json").is_file() else way[-1:]
        folders.append(Folder(place, "-".join(own), own, below))
    return _unique(folders)


def _unique(folders: list[Folder]) -> list[Folder]:
    """Folders of the same name in different places are told apart by the whole way to them."""
    names = [folder.name for folder in folders]
    for folder in folders:
        if names.count(folder.name) > 1:
            folder.name = "-".join(folder.below)
    return folders


def inspect(folder: Folder) -> Folder:
    """Fill in the shards of a folder, and name each file that is missing, cut short or damaged."""
    for number, name in enumerate(_files(folder)):
        path = folder.path / name
        try:
            rows, columns = _count(path)
        except SourceError as error:
            folder.unreadable[name] = str(error)
        else:
            folder.shards.append(Shard(path, number, rows, columns))
    return folder


def _files(folder: Folder) -> list[str]:
    """Names of all files a folder should have: what state.json lists, else what the names say of themselves."""
    state = folder.path / "state.json"
    found = sorted(path.name for path in folder.path.glob("data-*.arrow"))
    if state.is_file():
        try:
            listed = [str(entry["filename"]) for entry in json.loads(state.read_text())["_data_files"]]
        except (ValueError, KeyError, TypeError) as error:
            folder.unreadable["state.json"] = f"is not what `save_to_disk` writes ({type(error).__name__}: {error})"
        else:
            outside = [name for name in listed if Path(name).name != name]
            folder.unreadable |= dict.fromkeys(outside, "lies outside its folder, and is not followed")
            return [name for name in listed if name not in outside]
    parts = [match for match in map(SHARD.search, found) if match]
    if not parts or len({match[2] for match in parts}) > 1:
        return found
    stem = found[0][: parts[0].start()]
    return [f"{stem}-{index:05d}-of-{parts[0][2]}.arrow" for index in range(int(parts[0][2]))]


def _count(path: Path) -> tuple[int, tuple[str, ...]]:
    """Rows and columns of one file, from its messages' headers.

    Raises:
        SourceError: missing, cut short, or no Arrow stream.
    """
    if not path.is_file():
        raise SourceError("is missing: it was never downloaded, or never published")
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(END_OF_STREAM)))
        if file.read() != END_OF_STREAM:
            raise SourceError(f"is cut short after {path.stat().st_size} bytes: download it again")
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            columns = tuple(stream.schema.names)
            return sum(batch.num_rows for batch in stream), columns
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"is damaged ({_first_line(error)}): download it again") from error


def read_rows(path: Path, start: int, stop: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows from `start` up to `stop`, some columns of them, in batches that stay on disk until they are used.

    Raises:
        SourceError: the bytes behind the rows are damaged.
    """
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as stream:
            first = 0
            for batch in stream:
                low, high = max(start, first), min(stop, first + batch.num_rows)
                if low < high:
                    piece = batch.slice(low - first, high - low).select(columns)
                    piece.validate(full=True)
                    yield piece
                first += batch.num_rows
                if first >= stop:
                    break
    except (pa.ArrowException, OSError) as error:
        raise SourceError(f"is damaged ({_first_line(error)}): download it again") from error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
