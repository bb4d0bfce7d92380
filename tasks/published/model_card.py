"""The model card of an exported RS-MoE: README.md with the hub's front matter, and how it is asked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from models.parts.prompt import SYSTEM
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.parts import part_of
from tasks.earth.display_sensors import known_sensor
from tasks.vlm.weight_headers import Held


def model_card(
    config: RsMoeConfig, held: Mapping[str, Held], sensor: str, record: Mapping[str, Any], one_tokenizer: bool
) -> str:
    """The text of README.md.

    Args:
        config: of the checkpoint.
        held: its tensors.
        sensor: whose images the processor settings are for.
        record: of the import that the weights began with; empty where they began fresh or nobody wrote it down.
        one_tokenizer: whether the Q-Former reads with the tokenizer of the language model.
    """
    counts: dict[str, int] = {}
    for name, there in held.items():
        counts[part_of(name)] = counts.get(part_of(name), 0) + there.elements
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # Markdown, not HTML: nothing is escaped
    text: Any = config.text_config
    known = known_sensor(sensor)
    return made.get_template("model_card.md.j2").render(
        counts=counts,
        total=sum(counts.values()),
        experts=list(zip(config.experts or [], config.templates or [], strict=True)),
        config=config,
        language=text.model_type,
        tokens=config.tokens_per_tile,
        system=SYSTEM,
        sensor=sensor,
        bands=", ".join(known.rgb or ()),
        unit=known.unit,
        origin=record.get("source"),
        revision=record.get("revision"),
        one_tokenizer=one_tokenizer,
    )
