"""Reading what owners publish: files found whatever case their names are in, and errors that say what was found."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.core.inside import stays_within
from tasks.evaluation.datasets.images import SUFFIXES


def matches(root: Path, pattern: str) -> list[Path]:
    """Paths under `root` that a glob pattern matches (`*`, `?`, `**/`), names in any case, in order."""
    if pattern == ".":
        return [root] if root.exists() else []
    compiled, depth = _compiled(pattern)
    return sorted(
        path for path in _walk(root, depth, top=root) if compiled.fullmatch(path.relative_to(root).as_posix())
    )


def _compiled(pattern: str) -> tuple[re.Pattern[str], int | None]:
    """A glob as a regular expression, and how deep it can match; None: any depth."""
    tokens = re.findall(r"\*\*/|\*|\?|[^*?]+", pattern)
    whole = "".join({"**/": "(?:.+/)?", "*": "[^/]*", "?": "[^/]"}.get(token) or re.escape(token) for token in tokens)
    return re.compile(whole, re.IGNORECASE), None if "**/" in pattern else pattern.count("/") + 1


LOOK_DEPTH, LOOK_FOLDERS = 5, 500


def holds(root: Path, pattern: str) -> bool:
    """Whether something under `root` matches, looking only 5 folders deep and into 500 subfolders of each.

    Enough to recognise a folder, and quick even for one of 590,000 patches.
    """
    compiled, depth = _compiled(pattern)
    walk = _walk(root, depth or LOOK_DEPTH, LOOK_FOLDERS, root)
    return any(compiled.fullmatch(path.relative_to(root).as_posix()) for path in walk)


def _walk(root: Path, depth: int | None, folders: int | None = None, top: Path | None = None) -> Iterator[Path]:
    """Everything below `root` but what is hidden, folders' own entries before those of their subfolders.

    A link is followed to a file below `top`, and to nothing else.
    """
    top = top or root
    if depth == 0 or not root.is_dir():
        return
    inner = []
    with os.scandir(root) as entries:
        for entry in entries:
            if entry.is_symlink() and not (entry.is_file() and stays_within(top, Path(entry.path))):
                continue
            if not entry.name.startswith((".", "__MACOSX")):
                yield Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    inner.append(Path(entry.path))
    for path in sorted(inner)[:folders]:
        yield from _walk(path, None if depth is None else depth - 1, folders, top)


def need(root: Path, *patterns: str) -> Path:
    """The first path under `root` that one of the patterns matches.

    Raises:
        BenchmarkError: none does; says what was looked for and what was found.
    """
    for pattern in patterns:
        for path in matches(root, pattern):
            return path
    raise BenchmarkError(f"{root}: looked for {' or '.join(patterns)}; {found(root)}")


def found(root: Path) -> str:
    """What lies in a folder, for an error."""
    if not root.exists():
        return "the folder is not there"
    if root.is_file():
        return "it is a file, not a folder"
    names = sorted(
        path.name + (" (a link)" if path.is_symlink() else "/" if path.is_dir() else "") for path in root.iterdir()
    )
    if not names:
        return "the folder is empty"
    rest = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"found {', '.join(names[:8])}{rest}"


def read_json(path: Path) -> Any:
    """A JSON file; a byte order mark does not matter.

    Raises:
        BenchmarkError: it is not JSON; names the line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise BenchmarkError(f"{path} is not JSON: {error}; fetch the file again") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends, whatever these are; empty ones are left out."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def get(record: Mapping[str, Any], key: str, where: str) -> Any:
    """A field that must be there.

    Raises:
        BenchmarkError: names the place, the field and the fields there are.
    """
    if key not in record:
        raise BenchmarkError(f"{where}: no field {key!r}; it has {', '.join(map(str, record))}")
    return record[key]


def records(content: Any, key: str, where: Path) -> list[dict[str, Any]]:
    """The list of objects under `key`, or the content itself where the file is a bare list.

    Raises:
        BenchmarkError: neither.
    """
    listed = content.get(key) if isinstance(content, dict) else content
    if not isinstance(listed, list) or not all(isinstance(entry, dict) for entry in listed):
        fields = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise BenchmarkError(f"{where}: a list of objects was expected under {key!r}; found {fields}")
    return listed


class ImageIndex:
    """The images under a folder, found by relative path, name or stem, in any case."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found: dict[str, set[Path]] = {}
        for path in _walk(folder, None):
            if path.suffix.lower() in SUFFIXES:
                relative = path.relative_to(folder)
                for key in (relative.as_posix(), relative.with_suffix("").as_posix(), path.name, path.stem):
                    self._found.setdefault(key.lower(), set()).add(path)

    def find(self, *names: str) -> Path:
        """The image called by one of `names`; the path where it should lie if there is none.

        Raises:
            BenchmarkError: several images answer to a name.
        """
        for name in names:
            for key in _keys(name):
                paths = self._found.get(key, set())
                if len(paths) > 1:
                    candidates = ", ".join(sorted(path.relative_to(self._folder).as_posix() for path in paths)[:3])
                    raise BenchmarkError(f"{self._folder}: {name} may be any of {candidates}; keep one of them")
                if paths:
                    return next(iter(paths))
        return self._folder / names[0]


def _keys(name: str) -> Iterable[str]:
    normal = name.replace("\\", "/").lower().removeprefix("./").lstrip("/")
    suffix = Path(normal).suffix
    yield normal
    if suffix in SUFFIXES:
        yield normal.removesuffix(suffix)  # the same picture in another format
