"""A checkpoint of RS-MoE as others read it: plain InstructBLIP of transformers, and an adapter of peft an expert."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from models.rsmoe.config import RsMoeConfig
from models.rsmoe.prompt import QFORMER_TOKENIZER
from models.rsmoe.state_dict_adapter import adapter_config, is_beside, shapes, split_experts, steps, to_published
from tasks.core.errors import WeightsError
from tasks.core.stage import atomic, read_json, storage_errors, write_json
from tasks.earth.published_statistics import WHITE
from tasks.earth.sensors import DISPLAY
from tasks.published.instructblip import ADAPTER, BESIDE, IMAGE, MIXTURE, OWN_WEIGHTS, fingerprint
from tasks.published.model_card import model_card
from tasks.published.our_folder import RECORD, copy_text, save_config, true_colour
from tasks.published.tensor_stream import convert
from tasks.published.vocabulary import rename_token, token_ids
from tasks.published.weight_files import TEXT_FILES, compare
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE
from tasks.vlm.weight_headers import Held, read_headers

logger = logging.getLogger(__name__)
OURS = (
    "experts", "templates", "realisation", "router", "prompt_tokens", "lora_rank", "lora_alpha", "lora_dropout",
    "lora_targets", "instruction_length", "fusion", "fusion_heads", "max_tiles", "box_form",
)  # fmt: skip
"""Fields of our configuration that InstructBLIP's has not."""


def export_instructblip(folder: Path, out: Path, sensor: str | None) -> None:
    """Write the dense network, and beside it what InstructBLIP has no place for.

    Args:
        folder: the checkpoint.
        out: folder to make.
        sensor: whose true-colour images the processor settings are for; the only one there is if None.

    Raises:
        WeightsError: the checkpoint is not whole, its experts have language models of their own, or the sensor is
            missing or one of several.
    """
    config = RsMoeConfig.from_pretrained(folder)
    if config.number_of_experts and config.realisation == "separate":
        raise WeightsError(
            f"the experts of {folder} have a language model each, and peft's layout has one with adapters: only "
            "realisation `shared` can be exported"
        )
    held = read_headers(folder)
    compare(held, shapes(config), str(folder))
    tokens = token_ids(folder)
    name = next((text for text, number in tokens.items() if number == config.image_token_index), None)
    if name is None or not (folder / "tokenizer.json").is_file():
        raise WeightsError(f"{folder} has no tokenizer.json with the image token, number {config.image_token_index}")
    settings, shown = processor_settings(folder, config, sensor)
    with storage_errors(), atomic(out) as partial:
        partial.mkdir()
        files = convert(steps(config), held, partial)
        save_config(config, to_published(config), held, partial)
        copy_text(folder, partial)
        (partial / NORMALISATION_FILE).unlink()  # for all sensors, in BESIDE
        if name != IMAGE:
            rename_token(partial, name, IMAGE)
        one = not (folder / QFORMER_TOKENIZER).is_dir()
        if not one:
            shutil.copytree(folder / QFORMER_TOKENIZER, partial / QFORMER_TOKENIZER)
        else:
            (partial / QFORMER_TOKENIZER).mkdir()
            for text in (text for text in TEXT_FILES if (partial / text).is_file()):
                shutil.copyfile(partial / text, partial / QFORMER_TOKENIZER / text)
        write_json(partial / "processor_config.json", settings)
        beside = partial / BESIDE
        beside.mkdir()
        shutil.copyfile(folder / NORMALISATION_FILE, beside / NORMALISATION_FILE)
        write_experts(beside, config, _read(held))
        content = {field: getattr(config, field) for field in OURS}
        facts = {"image_token": name, "one_tokenizer": one, "base": fingerprint(partial), "config": content}
        write_json(beside / MIXTURE, facts)
        record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
        (partial / "README.md").write_text(model_card(config, held, shown, record, one))
    logger.info("%d tensors in %d files under %s, experts: %s", len(held), files, out, config.number_of_experts)


def _read(held: Mapping[str, Held]) -> dict[str, Tensor]:
    """The tensors that InstructBLIP has no place for: a small part of all."""
    chosen = [name for name in held if is_beside(name) or ".lora_" in name]
    out: dict[str, Tensor] = {}
    for path in sorted({held[name].file for name in chosen}):
        with safe_open(path, framework="pt") as file:
            out |= {name: file.get_tensor(name) for name in chosen if held[name].file == path}
    return out


def write_experts(folder: Path, config: RsMoeConfig, tensors: Mapping[str, Tensor]) -> None:
    """Fusion and router in one file, each expert's adapter in a folder of its name."""
    own = {name: tensor for name, tensor in tensors.items() if is_beside(name)}
    if own:
        save_file(own, folder / OWN_WEIGHTS, metadata={"format": "pt"})
    for expert, adapter in split_experts(tensors, config).items():
        (folder / expert).mkdir()
        save_file(adapter, folder / expert / ADAPTER, metadata={"format": "pt"})
        write_json(folder / expert / "adapter_config.json", adapter_config(config))


def processor_settings(folder: Path, config: RsMoeConfig, sensor: str | None) -> tuple[dict[str, Any], str]:
    """`processor_config.json`, and the name of the sensor whose images it is for.

    Raises:
        WeightsError: the checkpoint knows no true-colour images of that sensor, or of several and none was named.
    """
    known, pairs = true_colour(folder, sensor)
    display = known.unit == DISPLAY
    scale = WHITE if display else 1.0
    return {
        "processor_class": "InstructBlipProcessor",
        "num_query_tokens": config.num_query_tokens,
        "image_processor": {
            "image_processor_type": "BlipImageProcessor",
            "do_convert_rgb": display,
            "do_resize": True,
            "size": {"height": config.image_size, "width": config.image_size},
            "resample": 3,
            "do_rescale": display,
            "rescale_factor": 1 / WHITE,
            "do_normalize": True,
            "image_mean": [mean / scale for mean, _ in pairs],
            "image_std": [std / scale for _, std in pairs],
        },
    }, known.name
