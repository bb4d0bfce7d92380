"""Arrow folders as `datasets.save_to_disk` writes them: found wherever they lie, named, and what is whole in them."""

from dataclasses import dataclass, field
from pathlib import Path

from tasks.core.arrow_shards import STATE, ShardError, count, listed_shards
from tasks.core.errors import EarthloomError


class SourceError(EarthloomError):
    """A folder or a file of it cannot be read at all."""


@dataclass(frozen=True)
class ArrowShard:
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
    shards: list[ArrowShard] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def find_folders(root: Path) -> list[Folder]:
    """Every saved data set under `root`, itself included, in order of path. A split is part of its set's name.

    Raises:
        SourceError: there is none.
    """
    if not root.is_dir():
        raise SourceError(f"{root} is not a folder; give the folder that EarthDial-Instruct was downloaded to")
    places = sorted({path.parent for pattern in (STATE, "*.arrow") for path in root.rglob(pattern)})
    # What `datasets` caches beside a set after a `map` repeats its rows.
    places = [place for place in places if list(place.glob("data-*.arrow")) or (place / STATE).is_file()]
    if not places:
        json_there = any(path.suffix in (".json", ".jsonl") for path in root.iterdir())
        hint = "; `earthloom import llava` (or sharegpt, messages) reads conversations in JSON" if json_there else ""
        raise SourceError(
            f"{root} holds no data set saved by `datasets.save_to_disk` (no state.json, no data-*.arrow){hint}"
        )
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
    """Folders of the same name in different places are distinguished by their whole path."""
    names = [folder.name for folder in folders]
    for folder in folders:
        if names.count(folder.name) > 1:
            folder.name = "-".join(folder.below)
    return folders


def inspect(folder: Folder) -> Folder:
    """Fill in the shards of a folder, and name each file that is missing, cut short or damaged."""
    names, refused = listed_shards(folder.path)
    folder.unreadable |= refused
    for number, name in enumerate(names):
        path = folder.path / name
        try:
            rows, columns = count(path)
        except ShardError as error:
            folder.unreadable[name] = str(error)
        else:
            folder.shards.append(ArrowShard(path, number, rows, columns))
    return folder
