"""The ledger of licences of an export: its sources, whom to name, and what must stay under which licence."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tasks.core import paths
from tasks.core.errors import ExchangeError
from tasks.core.stage import read_json
from tasks.earth.label_licences import UNKNOWN

HUB_NAMES = {"odbl-1.0": "odbl", "odc-by-1.0": "odc-by", "pddl-1.0": "pddl"}
"""Licences whose SPDX name in small letters is not their name on the hub."""
ON_HUB = (
    "apache-2.0", "mit", "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0",
    "etalab-2.0", *HUB_NAMES.values(),
)  # fmt: skip
OTHER = "other"


@dataclass(frozen=True)
class Entry:
    """One source: of labels, or a collection of scenes."""

    name: str
    role: str
    """labels, or scenes."""
    licence: str
    attribution: str
    url: str
    date: str
    items: int
    """Items or files of the source that the data set was built from."""

    @property
    def share_alike(self) -> bool:
        """Whether what is made from it must stay under its licence."""
        name = self.licence.lower()
        return "odbl" in name or "-sa" in name or "sharing" in name


@dataclass(frozen=True)
class Ledger:
    """The sources of an export, in order of name, and the labels that were computed from the scenes themselves."""

    entries: list[Entry]
    derived: list[str]

    @property
    def hub_licences(self) -> list[str]:
        """Licences by the hub's names; `other` for those that it has no name for."""
        return sorted({hub_name(entry.licence) for entry in self.entries})

    @property
    def notices(self) -> list[str]:
        """What must be said of anything made from it, each once."""
        return list(dict.fromkeys(entry.attribution for entry in self.entries if entry.attribution))

    @property
    def share_alike(self) -> list[Entry]:
        """Sources whose licence binds what is made from them."""
        return [entry for entry in self.entries if entry.share_alike]

    def as_json(self) -> dict[str, Any]:
        """The ledger as a file."""
        rows = [{**asdict(entry), "share_alike": entry.share_alike} for entry in self.entries]
        return {"sources": rows, "derived": self.derived, "notices": self.notices, "licences": self.hub_licences}


def hub_name(licence: str) -> str:
    """The hub's name of a licence (SPDX); `other` if it has none."""
    name = HUB_NAMES.get(licence.lower(), licence.lower())
    return name if name in ON_HUB else OTHER


def ledger(data: Path, sensors: Iterable[str], sources: set[str], collections: set[str]) -> Ledger:
    """What stage `labels` wrote down of the sources that were used.

    Args:
        data: folder of the data set.
        sensors: that leave.
        sources: of labels that their pairs were made from.
        collections: of scenes that their chips are of.

    Raises:
        MissingInputError: stage `labels` has not run.
        ExchangeError: a source was used of which the ledger says nothing.
    """
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    derived: set[str] = set()
    for sensor in sensors:
        for folder in paths.labels_of_parts(sensor, data) or [data / "labels" / sensor]:
            said = read_json(folder / "licences.json")
            for role, used in (("labels", sources), ("scenes", collections)):
                for name, entry in said[role].items():
                    if name in used:
                        found.setdefault((role, name), []).append(entry)
            rules = {name for name, one in read_json(folder / "sources.json").items() if one.get("derived")}
            derived |= rules & sources
    known = {name for _, name in found}
    if unknown := sorted((sources - derived - known) | (collections - known)):
        raise ExchangeError(
            f"nothing says under which licence {', '.join(unknown)} may leave: licences.json under {data / 'labels'} "
            "does not name it; rebuild stage `labels`"
        )
    return Ledger([_entry(role, name, said) for (role, name), said in sorted(found.items())], sorted(derived))


def _entry(role: str, name: str, said: list[Mapping[str, Any]]) -> Entry:
    """One source, from what the ledgers of several sensors and parts say of it."""

    def joined(key: str) -> str:
        return "; ".join(dict.fromkeys(str(one[key]) for one in said if one.get(key)))

    items = {item for one in said for item in one["items"]}
    return Entry(name, role, joined("licence") or UNKNOWN, joined("attribution"), joined("url"), joined("date"),
                 len(items))  # fmt: skip
