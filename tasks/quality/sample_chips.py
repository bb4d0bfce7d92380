"""Real chips of a built dataset: the facts that its conversations carry."""

from collections.abc import Iterator
from pathlib import Path

from tasks.core import tables
from tasks.core.errors import MissingInputError
from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash


def sample_chips(folder: Path, most: int) -> Iterator[ChipFacts]:
    """Up to `most` chips of the conversations under `folder`, such as data/qa, chosen by a hash of their ids.

    Raises:
        MissingInputError: there are no conversations.
    """
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*/*/conversations.parquet")):
        for row in tables.read(path, ["chip_id", "facts"]).to_pylist():
            found[row["chip_id"]] = row["facts"]
    if not found:
        raise MissingInputError(f"no conversation lies under {folder}; run `dvc repro qa`")
    for chip_id in sorted(found, key=lambda name: stable_hash(f"quality/{name}"))[:most]:
        yield ChipFacts.from_json(found[chip_id])
