"""One server for all tests of the tools: the sample catalog, the tiny model, a folder of images, a table of pairs."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.core import tables
from tasks.dialogue import conversations
from tasks.dialogue.facts import ChipFacts
from tasks.earth.label_masks import SIDE
from tests.fixtures.assistant import GROUND, ROOT, Assistant, assistant
from tests.fixtures.chip_facts import COVER, area


@pytest.fixture(scope="session")
def reach(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str | Path]:
    """Options of a server: what it may reach."""
    folder = tmp_path_factory.mktemp("assistant")
    places = folder / "places"
    (places / "harbours").mkdir(parents=True)
    plane = np.linspace(0, 255, 64 * 64, dtype=np.uint8).reshape(64, 64)
    Image.fromarray(np.stack([plane, plane[::-1], plane.T], axis=-1)).save(places / "harbours/one.png")
    Image.new("RGB", (8, 8), "red").save(folder / "secret.png")
    (places / "away.png").symlink_to(folder / "secret.png")
    (places / "up").symlink_to(folder)
    (places / "notes.txt").write_text("no picture")
    west = np.broadcast_to(np.arange(SIDE) < SIDE // 2, (SIDE, SIDE))
    labels = (area("water", west), area("tree cover", ~west))
    facts = ChipFacts("known-chip", "sentinel-2", labels, {COVER.name: COVER})
    row: dict[str, Any] = dict.fromkeys(conversations.SCHEMA.names)
    row |= {"conversation_id": "known-chip#0", "chip_id": "known-chip", "facts": facts.to_json(), "turns": []}
    tables.write_rows([row], conversations.SCHEMA, folder / "pairs/conversations.parquet")
    made = {"--model": tiny_checkpoint, "--images": places, "--out": folder / "chips", "--pairs": folder / "pairs"}
    return [text for pair in made.items() for text in pair]


@pytest.fixture(scope="session")
def claude(reach: list[str | Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """A client over standard input and output."""
    with (tmp_path_factory.mktemp("log") / "stderr").open("w") as errors, assistant(ROOT, errors, *reach) as client:
        yield client


@pytest.fixture(scope="session")
def chip(claude: Assistant) -> dict[str, Any]:
    """A chip of four bands of the scene that `GROUND` finds."""
    found = claude.ask("search_scenes", **GROUND)
    scene = found["scenes"][0]["scene"]
    return claude.ask("cut_chip", scene=scene, lon=12.6, lat=52.49, size=64, bands=["B08", "B04", "B03", "B02"])
