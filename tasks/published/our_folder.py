"""What a checkpoint that is made of published weights holds beside its tensors."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import GenerationConfig, PreTrainedConfig

from models.parts.fusion import BandGroupFusion
from tasks.core.errors import WeightsError
from tasks.core.stage import read_json, write_json
from tasks.earth.display_sensors import ALL, known_sensor
from tasks.earth.published_statistics import WHITE
from tasks.earth.sensors import DISPLAY, Sensor
from tasks.published.weight_files import DTYPES, IMAGE_SETTINGS, TEXT_FILES
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.weight_headers import Held

logger = logging.getLogger(__name__)
RECORD = "import.json"
PUBLISHED_CONFIG = "published_config.json"
CLASS_TOKEN = "vision_model.embeddings.class_embedding"
"""A tensor of the vision encoder that InternVL and InstructBLIP both have."""


def fresh_fusion(
    config: Any, prefix: str, held: Mapping[str, Held], seed: int, like: str = CLASS_TOKEN
) -> dict[str, Tensor]:
    """Weights of a fusion that nobody trained, if it has any, in the type of the encoder's tensor `like`."""
    with safe_open(held[like].file, framework="pt") as file:
        dtype = file.get_tensor(like).dtype
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fusion = BandGroupFusion(config.vision_config.hidden_size, config.fusion_heads, config.fusion)
    return {f"{prefix}{key}": tensor.to(dtype) for key, tensor in fusion.state_dict().items()}


def display_statistics(folder: Path, source: str, required: bool = True) -> dict[str, dict[str, list[float]]]:
    """Statistics of pictures in true colour, in display values, from the settings of the processor; none where there
    are no settings and they are not `required`.

    Raises:
        WeightsError: there are none, and by what images were normalised is unknown.
    """
    settings: dict[str, Any] = {}
    for name in IMAGE_SETTINGS:
        if (folder / name).is_file():
            content = read_json(folder / name)
            settings = content.get("image_processor", content) | settings
    if not {"image_mean", "image_std"} <= settings.keys():
        if not required:
            return {}
        raise WeightsError(
            f"{source} has neither {' nor '.join(IMAGE_SETTINGS)} with image_mean and image_std: by what images were "
            "normalised is unknown; put that file of the weights beside them"
        )
    pairs = list(zip(settings["image_mean"], settings["image_std"], strict=True))
    return {
        sensor.name: {
            band: [round(mean * WHITE, 6), round(std * WHITE, 6)]
            for band, (mean, std) in zip(sensor.rgb or (), pairs, strict=True)
        }
        for sensor in ALL.values()
        if sensor.unit == DISPLAY and sensor.rgb and len(sensor.bands) == len(sensor.rgb)
    }


def save_config(config: PreTrainedConfig, content: Mapping[str, Any], held: Mapping[str, Held], out: Path) -> None:
    """config.json with `content`, and generation_config.json, with the type the weights have."""
    types = {there.dtype for there in held.values()}
    dtype = {"dtype": DTYPES[types.pop()]} if len(types) == 1 else {}
    write_json(out / "config.json", {**content, **dtype})
    save_generation(config, out)


def save_generation(config: PreTrainedConfig, out: Path) -> None:
    """generation_config.json: greedy, ended by the token that ends an answer."""
    text: Any = config.get_text_config()
    generation: Any = GenerationConfig
    generation(do_sample=False, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id).save_pretrained(out)


def copy_text(folder: Path, out: Path) -> list[str]:
    """Copy the tokenizer and the statistics of the images, as far as they are there; names of what was copied."""
    there = [name for name in (*TEXT_FILES, NORMALISATION_FILE) if (folder / name).is_file()]
    for name in there:
        shutil.copyfile(folder / name, out / name)
    return there


READERS_OWN = ("backend", "is_local", "local_files_only")
"""What transformers writes of how it read a tokenizer here."""


def plain_tokenizer(folder: Path, more: Mapping[str, Any]) -> None:
    """tokenizer_config.json as any transformers reads it, with `more` in it."""
    words = read_json(folder / "tokenizer_config.json")
    plain = {name: value for name, value in words.items() if name not in READERS_OWN}
    write_json(folder / "tokenizer_config.json", {**plain, "tokenizer_class": "PreTrainedTokenizerFast", **more})


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Text files by name."""
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def true_colour(folder: Path, sensor: str | None) -> tuple[Sensor, list[list[float]]]:
    """The sensor whose true-colour images processor settings are for, and mean and deviation of its three bands.

    Raises:
        WeightsError: the checkpoint knows no true-colour images of that sensor, or of several and none was named.
    """
    path = folder / NORMALISATION_FILE
    if not path.is_file():
        raise WeightsError(f"{path} is not there, and without it nobody knows by what images were normalised")
    statistics = read_json(path)
    colour = [name for name in statistics if set(known_sensor(name).rgb or ("?",)) <= set(statistics[name])]
    chosen = sensor or (colour[0] if len(colour) == 1 else None)
    if chosen not in colour:
        asked = f"--sensor {sensor} is not among them" if sensor else "say --sensor"
        raise WeightsError(
            f"the processor settings hold the statistics of one sensor's true colour; {folder} knows those of "
            f"{', '.join(colour) or 'none'}: {asked}"
        )
    assert chosen is not None
    known = known_sensor(chosen)
    return known, [statistics[chosen][band] for band in known.rgb or ()]


def record(
    source: str,
    revision: str | None,
    config: Any,
    held: Mapping[str, Held],
    tokens: int,
    fresh: Mapping[str, Tensor],
) -> dict[str, Any]:
    """What was imported. The embedding may have more rows than the tokenizer has tokens: they are kept."""
    rows = config.text_config.vocab_size
    if tokens and tokens != rows:
        logger.warning("the tokenizer has %d tokens, the embedding %d rows; all rows are kept", tokens, rows)
    return {
        "source": source,
        "revision": revision,
        "fusion": config.fusion,
        "fresh_tensors": sorted(fresh),
        "tensors": len(held),
        "parameters": sum(there.elements for there in held.values()),
        "dtypes": sorted({there.dtype for there in held.values()}),
        "embedding_rows": rows,
        "tokenizer_tokens": tokens or None,
    }
