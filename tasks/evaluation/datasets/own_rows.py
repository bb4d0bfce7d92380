"""Benchmarks of one's own: TOML rows in a folder outside the package, in the words of the built-in tables.

A folder is named by `--from` or the environment variable `EARTHLOOM_BENCHMARKS`; several are parted as in PATH. A row
reads the files of its own folder and no others: a pattern or name that leads out of it is refused.
"""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.core.errors import BenchmarkError
from tasks.earth.display_sensors import PICTURE

VARIABLE = "EARTHLOOM_BENCHMARKS"
SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LEADING = ("needs", "options", "folder")
"""Keys of a source whose texts name files."""


DEFAULTS: dict[str, Any] = {
    "split": "test",
    "modality": "rgb",
    "sensor": PICTURE.tag,
    "answer_type": "text",
    "prompt": f"{PICTURE.tag} <image>\n {{question}}",
    "prompt_from": "its owner",
}
"""What a benchmark of one's own need not say: true-colour pictures with questions in words."""
SOURCE: dict[str, Any] = {
    "name": "own",
    "adapter": "rows",
    "layout": "a table of questions, and images",
    "needs": ["**/*.jsonl | **/*.json | **/*.csv | **/*.tsv"],
    "comparable": True,
    "confirmed": True,
    "evidence": "its owner",
}
"""What its source need not tell: a table that the adapter `rows` reads."""


def folders() -> tuple[Path, ...]:
    """The folders of own benchmarks.

    Raises:
        BenchmarkError: one is not there, or holds no TOML table.
    """
    found = tuple(Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part)
    for folder in found:
        if not folder.is_dir():
            raise BenchmarkError(f"{VARIABLE} or --from: {folder} is not a folder")
        if not any(folder.glob("*.toml")):
            raise BenchmarkError(f"{VARIABLE} or --from: {folder} holds no .toml with a [[benchmark]] in it")
    return found


def include(folder: Path) -> None:
    """Add a folder for this process and those that it starts."""
    known = os.environ.get(VARIABLE, "").split(os.pathsep)
    if str(folder.resolve()) not in known:
        os.environ[VARIABLE] = os.pathsep.join([*filter(None, known), str(folder.resolve())])


def tables(folder: Path) -> Iterator[Path]:
    """The TOML files of a folder, in order.

    Raises:
        BenchmarkError: one is a link that leads out of the folder.
    """
    for path in sorted(folder.glob("*.toml")):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise BenchmarkError(f"{path} is a link that leads out of its folder; put the file itself there")
        yield path


def refuse_leading_out(entry: dict[str, Any], where: str) -> None:
    """Refuse a source whose patterns or names may match what lies outside its folder.

    Raises:
        BenchmarkError: names the table and the key.
    """
    for key in LEADING:
        for text in _texts(entry.get(key)):
            path = PurePosixPath(text.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or text.startswith("~") or re.match(r"[A-Za-z]:", text):
                raise BenchmarkError(f"{where}, {key}: {text!r} leads out of the folder; name files below it")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from value.split(" | ")
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def table(path: Path) -> dict[str, Any]:
    """A table of one's own.

    Raises:
        BenchmarkError: it is not TOML, or has no `[[benchmark]]`.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path} is not TOML: {error}") from error
    unknown = sorted(set(found) - {"benchmark", "shared", "dataset"})
    if unknown or not isinstance(found.get("benchmark"), list):
        what = f"does not know the table [{unknown[0]}]" if unknown else "has no [[benchmark]]"
        raise BenchmarkError(f"{path} {what}; it may have [[benchmark]], [dataset.NAME] and [shared.NAME]")
    return found
