"""The folder of an export: whole or not there, and never one that holds what someone else put into it.

An export is built in a hidden folder beside its place and takes it at the end. One that was killed leaves that hidden
folder, which the next export of the same place begins anew: what lies at the place itself is always whole.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tasks.core.errors import ExchangeError
from tasks.core.stage import read_json, write_json

RECORD = "export.json"
"""What an export is and which files are its own; written last."""
MARK = ".earthloom-partial"
"""In the hidden folder from its first moment: only a folder with it is begun anew."""


@contextmanager
def building(out: Path, form: str, options: dict[str, Any]) -> Iterator[Path]:
    """A folder to build an export in; it takes the place of `out` if the block succeeds.

    Args:
        out: where the export goes: a folder that is not there, is empty, or holds an earlier export of the same form.
        form: the name of the layout.
        options: what the export was asked for, kept in its record.

    Raises:
        ExchangeError: `out` holds something else, or another process exports to it just now.
    """
    out = Path(os.path.abspath(out))
    _check(out, form)
    partial, old = (out.with_name(f".{out.name}.{kind}") for kind in ("partial", "old"))
    for hidden in (partial, old):
        ours = (hidden / MARK).is_file() or (hidden / RECORD).is_file()
        if hidden.is_symlink() or (hidden.exists() and not ours):
            raise ExchangeError(f"{hidden} is in the way and is no export of ours; move it, or give another --out")
    partial.mkdir(parents=True, exist_ok=True)
    with (partial / MARK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ExchangeError(
                f"another process exports to {out} just now; wait for it, or give another --out"
            ) from error
        for path in partial.iterdir():
            if path.name != MARK:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        yield partial
        files = sorted(path.relative_to(partial).as_posix() for path in partial.rglob("*") if path.is_file())
        own = [name for name in files if name != MARK]
        write_json(partial / RECORD, {"format": form, "options": options, "files": own})
        _check(out, form)
        _take(partial, out, old)


def _check(out: Path, form: str) -> None:
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise ExchangeError(f"{out} is no folder; give --out a folder that is empty or not there")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / RECORD).is_file():
        raise ExchangeError(f"{out} is not empty and no export of ours; give --out a folder that is empty or not there")
    made = check_own(out)["format"]
    if made != form:
        raise ExchangeError(f"{out} holds an export as '{made}'; give another --out for '{form}'")


def check_own(folder: Path) -> dict[str, Any]:
    """The record of a finished export, if its folder holds all that the record names and nothing else.

    Raises:
        ExchangeError: it is no finished export, lacks a file, or holds one of someone else.
    """
    if not (folder / RECORD).is_file():
        raise ExchangeError(f"{folder} is no finished export: there is no {RECORD}; run `earthloom export` first")
    try:
        record: dict[str, Any] = read_json(folder / RECORD)
        str(record["format"])
        own = {RECORD, *record["files"]}
    except (ValueError, KeyError, TypeError) as error:
        raise ExchangeError(f"{folder / RECORD} is not what an export writes; export to another folder") from error
    found = {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()
    }
    if strange := sorted(found - own):
        raise ExchangeError(
            f"{folder} holds {strange[0]!r}, which no export wrote ({len(strange)} such files); move it away"
        )
    if missing := sorted(own - found):
        raise ExchangeError(f"{folder} lacks {missing[0]!r}, which was exported ({len(missing)} such files); move the "
                            "folder away and export again")  # fmt: skip
    return record


def _take(partial: Path, out: Path, old: Path) -> None:
    (partial / MARK).unlink()
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(out, old)
    os.replace(partial, out)
    shutil.rmtree(old, ignore_errors=True)
