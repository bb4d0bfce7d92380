"""What a fault must not have touched: versions, lock, cache, remote and rows."""

import hashlib
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from tests.end_to_end.faults.template import Template, entries, git


def versions(origin: Path, branch: str) -> list[str]:
    """Tags of the versions of a branch that `main` has not."""
    return git(origin, "tag", "--merged", branch, "--no-merged", "main").split()


def wrong_in_lock(template: Template, branch: str) -> list[str]:
    """Addresses whose entry on a branch is not the one that `dvc repro` writes; of what the branch changes."""
    there = entries(git(template.origin, "show", f"{branch}:dvc.lock"))
    changed = changed_entries(template, branch)
    return [address for address, entry in changed.items() if there.get(address) != entry]


def changed_entries(template: Template, branch: str) -> dict[str, Any]:
    """Entries that `dvc repro` writes on a branch and that `main` has otherwise."""
    main = template.expected("main")
    return {address: one for address, one in template.expected(branch).items() if main.get(address) != one}


def damaged(cache: Path) -> list[str]:
    """Objects of a cache or a store whose bytes are not those of their name, and what lies there half written."""
    found = []
    for path in sorted((cache / "files/md5").glob("*/*")):
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        if f"{path.parent.name}{path.name}".removesuffix(".dir") != md5:
            found.append(path.name)
    return found


def rows(template: Template, branch: str, store: Path) -> tuple[int, int, int]:
    """Rows of the tables that a branch's new entries name on the remote: (there, lost, doubled).

    Lost and doubled by the rows' own bytes, against the tables that `dvc repro` has made.
    """
    there = entries(git(template.origin, "show", f"{branch}:dvc.lock"))
    got: Counter[str] = Counter()
    meant: Counter[str] = Counter()
    for address, entry in changed_entries(template, branch).items():
        meant += _rows(entry, template.author / ".dvc/cache")
        got += _rows(there[address], store)
    return got.total(), (meant - got).total(), (got - meant).total()


def _rows(entry: Any, objects: Path) -> "Counter[str]":
    found: Counter[str] = Counter()
    for out in entry.get("outs", []):
        names = {out["path"]: out["md5"]}
        if out["md5"].endswith(".dir"):
            listed = json.loads(_read(objects, out["md5"]))
            names = {f"{out['path']}/{one['relpath']}": one["md5"] for one in listed}
        for path, md5 in names.items():
            if path.endswith(".parquet"):
                found.update(f"{path} {row}" for row in pq.read_table(io.BytesIO(_read(objects, md5))).to_pylist())
    return found


def _read(objects: Path, md5: str) -> bytes:
    return (objects / "files/md5" / md5[:2] / md5[2:]).read_bytes()
