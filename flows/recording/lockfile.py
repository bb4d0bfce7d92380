"""dvc.lock as text by entry: read without parsing it, replaced whole, in dvc.yaml's order."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flows.recording import dvc_internals as dvc
from flows.recording import dvc_yaml
from tasks.core.errors import FlowError
from tasks.core.stage import atomic


class Lock:
    """The entries of a dvc.lock, by address."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        self.entries, self._rest = _entries(text, str(path))

    def write(self, order: Iterable[str]) -> None:
        """Replace the file: a kill leaves the old one or the new one, no half. What `order` lacks goes last."""
        known = [address for address in order if address in self.entries]
        # As DVC does, entries of instances that dvc.yaml no longer has are kept: it may have them again.
        gone = [address for address in self.entries if address not in set(known)]
        with atomic(self.path) as partial, partial.open("w", encoding="utf-8") as file:
            file.write(dvc_yaml.SCHEMA + "stages:\n" + "".join(self.entries[a] for a in known + gone) + self._rest)
            file.flush()
            os.fsync(file.fileno())


def read(content: str) -> dict[str, str]:
    """Entries of the text of a dvc.lock, as they stand there, by address."""
    entries, _ = _entries(content, "dvc.lock")
    return entries


def text(address: str, entry: Mapping[str, Any]) -> str:
    """One entry, indented as it stands under `stages:`."""
    return dvc_yaml.entry_text(address, entry)


def _entries(content: str, name: str) -> tuple[dict[str, str], str]:
    found = dvc_yaml.split(content)
    return _parse(content, name) if found is None else (found, "")


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
