"""dvc.lock as text by entry: read without parsing it, replaced whole, in dvc.yaml's order."""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flows.recording import dvc_internals as dvc
from tasks.core.errors import FlowError
from tasks.core.stage import atomic

SCHEMA = "schema: '2.0'\n"
HEAD = re.compile(r"""  (?:'([^'"\\]+)'|([^\s'"#&*!|>%@`,\[\]{}?:-][^\s'"#]*)):\n""")
"""The line that an entry begins with; names that DVC quotes otherwise are left to the parser."""


class Lock:
    """The entries of a dvc.lock, by address."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.entries, self._rest = _split(text) or _parse(text, str(path))

    def write(self, order: Iterable[str]) -> None:
        """Replace the file: a kill leaves the old one or the new one, no half. What `order` lacks goes last."""
        known = [address for address in order if address in self.entries]
        # As DVC does, entries of instances that dvc.yaml no longer has are kept: it may have them again.
        gone = [address for address in self.entries if address not in set(known)]
        with atomic(self.path) as partial, partial.open("w", encoding="utf-8") as file:
            file.write(SCHEMA + "stages:\n" + "".join(self.entries[a] for a in known + gone) + self._rest)
            file.flush()
            os.fsync(file.fileno())


def read(content: str) -> dict[str, str]:
    """Entries of the text of a dvc.lock, as they stand there, by address."""
    entries, _ = _split(content) or _parse(content, "dvc.lock")
    return entries


def text(address: str, entry: Mapping[str, Any]) -> str:
    """One entry, indented as it stands under `stages:`."""
    return dvc.as_text({"stages": {address: entry}}).removeprefix("stages:\n")


def _split(content: str) -> tuple[dict[str, str], str] | None:
    """Entries by the lines they begin with (100 times as fast as a parser that keeps the bytes); None if unsure."""
    start = SCHEMA + "stages:\n"
    if not content.startswith(start):
        return None
    entries: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in content[len(start) :].splitlines(keepends=True):
        if line.startswith("   ") and current is not None:
            current.append(line)
            continue
        head = HEAD.fullmatch(line)
        name = head and (head[1] or head[2])
        if not name or name in entries:
            return None
        current = entries[name] = [line]
    return {name: "".join(lines) for name, lines in entries.items()}, ""


def _parse(content: str, name: str) -> tuple[dict[str, str], str]:
    """Entries as DVC would write them again, and whatever else is in the file."""
    if not content.strip():
        return {}, ""
    values = dvc.from_text(content, name)
    stages = values.get("stages", {}) if isinstance(values, dict) else None
    if not isinstance(stages, dict):
        raise FlowError(f"{name} is not a dvc.lock. Put back the committed one, or remove it: dvc repro makes it anew.")
    rest = {key: value for key, value in values.items() if key not in ("schema", "stages")}
    return {address: text(address, entry) for address, entry in stages.items()}, dvc.as_text(rest) if rest else ""
