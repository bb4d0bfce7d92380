"""How many parameters each part of RS-MoE has: the model of the demo, and the sizes that the paper names.

The paper publishes no count, only the names RS-MoE-1B and RS-MoE-7B after the language model of an expert. What is
known of its parts (spec of RS-MoE, section 1.1) stands beside our presets of that size. Their counts are written down
here, and held to the networks by tests/models/rsmoe/test_presets.py: a page is not worth loading torch.
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.rsmoe.parts import part_of


@dataclass(frozen=True)
class PresetCounts:
    """A size that the paper names, as our preset has it."""

    title: str
    counts: Mapping[str, int]
    """Parameters of each part, three experts in all."""


SEEING = {"vision": 985_952_256, "fusion": 10_029_184, "qformer": 185_684_736}
PRESETS = {
    "1b": PresetCounts(
        "RS-MoE-1B",
        {
            **SEEING, "projector": 1_574_912, "language": 1_235_814_400, "router": 3_961_091, "experts": 14_352_384,
        },
    ),
    "7b": PresetCounts(
        "RS-MoE-7B",
        {
            **SEEING, "projector": 3_149_824, "language": 6_738_423_808, "router": 5_536_003, "experts": 47_382_528,
        },
    ),
}  # fmt: skip
PART_TITLES = {
    "vision": "vision encoder",
    "fusion": "fusion of band groups",
    "qformer": "Q-Former",
    "projector": "projection",
    "language": "language model",
    "router": "instruction router",
    "experts": "adapters of the experts",
}
PAPER = {
    "vision": "ViT-g/14, frozen",
    "fusion": "none: true colour alone",
    "qformer": "32 queries, as in InstructBLIP",
    "language": "1 B or 7 B by name",
    "router": "makes a prompt an expert; its form is not published",
    "experts": "LoRA; its rank is not published",
}
"""What the paper says of a part."""


@dataclass(frozen=True)
class CountedPart:
    """One row of the table."""

    title: str
    counts: Sequence[int]
    """Of the model of the demo, then of each of `PRESETS`."""
    paper: str


def counted_parts(checkpoint: Path) -> list[CountedPart]:
    """A row for each part, and one for all together.

    Args:
        checkpoint: folder of the model of the demo.
    """
    columns = [of_checkpoint(checkpoint), *(preset.counts for preset in PRESETS.values())]
    rows = [
        CountedPart(title, [column.get(part, 0) for column in columns], PAPER.get(part, ""))
        for part, title in PART_TITLES.items()
    ]
    return [*rows, CountedPart("together", [sum(column.values()) for column in columns], "")]


def of_checkpoint(folder: Path) -> Mapping[str, int]:
    """Parameters of each part of a checkpoint."""
    counts: Counter[str] = Counter()
    for weights in sorted(folder.glob("*.safetensors")):
        for name, size in sizes(weights).items():
            counts[part_of(name)] += size
    return counts


def sizes(weights: Path) -> Mapping[str, int]:
    """How many numbers each tensor of a safetensors file has, from its header."""
    with weights.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    return {name: math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
