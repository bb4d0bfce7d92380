"""Which classes of cover a network learns to read from its visual tokens, by its sensors' labels. No torch here."""

from collections.abc import Iterable

from tasks.core import paths
from tasks.core.stage import read_json
from tasks.dialogue.facts import TAGS


def class_name(source: str, label: str) -> str:
    """What a class is called in a checkpoint's configuration."""
    return f"{source}/{label}"


def classes_of(sensors: Iterable[str]) -> list[str]:
    """Every label that has a place in a chip, by its source; sensors without labels of ours have none."""
    found = set()
    for sensor in sensors:
        for folder in paths.labels_of_parts(sensor):
            for name, source in read_json(folder / "sources.json").items():
                found |= {class_name(name, label) for label in source["labels"] if source["kind"] not in TAGS}
    return sorted(found)
