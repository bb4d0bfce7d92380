"""The parts of RS-MoE, and of which one a parameter is. No torch here."""

PARTS = {
    "vision": ("vision_model.",),
    "fusion": ("band_fusion.",),
    "qformer": ("qformer.", "query_tokens"),
    "projector": ("language_projection.",),
    "language": ("language_model.",),
    "router": ("router.",),
    "experts": ("expert_models.",),
}
"""The parts that a training stage can train or freeze, by the beginnings of their names. Adapters within the language
model are `experts` too."""


def part_of(name: str) -> str:
    """Part of a parameter by its name.

    Raises:
        ValueError: it is of no part.
    """
    if ".lora_" in name:
        return "experts"
    for part, beginnings in PARTS.items():
        if name.startswith(beginnings):
            return part
    raise ValueError(f"parameter {name} is of no part of the network")
