"""How the weights of a checkpoint are loaded: in which numbers, in how many bits, with which adapter of peft.

Of a network in few bits only the matrices of its language model are: where images come in, a rounded weight costs more
than it saves, and the head gives its weight away to the loss.
"""

import logging
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor

from tasks.core.errors import TrainingError
from tasks.core.stage import checkpoint_hash, read_json

LoadIn = Literal["int8", "int4"]
Dtype = Literal["float32", "bfloat16", "float16"]
ADAPTER_CONFIG, ADAPTER_WEIGHTS, FINETUNE_RECORD = "adapter_config.json", "adapter_model.safetensors", "finetune.json"
ADAPTER_FILES = (ADAPTER_CONFIG, ADAPTER_WEIGHTS)
"""What makes a folder an adapter of peft."""
WHOLE = ["lm_head", "model.vision_tower", "model.band_fusion", "model.multi_modal_projector"]
"""Modules that are never held in few bits."""


@dataclass(frozen=True)
class Loading:
    """What a user may say of it."""

    dtype: Dtype | None = None
    """Numbers the network computes with; as the weights are stored if None."""
    load_in: LoadIn | None = None
    """Bits that matrices of the language model are held in; all of their own if None."""
    adapter: Path | None = None
    """Folder of an adapter of peft."""


def options_of(loading: Loading, device: str) -> dict[str, Any]:
    """Keyword arguments of transformers' `from_pretrained`.

    Raises:
        TrainingError: bitsandbytes is not installed, or does not do so.
    """
    options: dict[str, Any] = {} if loading.dtype is None else {"dtype": getattr(torch, loading.dtype)}
    if loading.load_in is None:
        return options
    from transformers import BitsAndBytesConfig
    from transformers.utils.import_utils import is_bitsandbytes_available

    if not is_bitsandbytes_available():
        raise TrainingError(
            f"{loading.load_in} needs bitsandbytes, which is not installed: `pip install bitsandbytes`, or leave it "
            "out and load in bfloat16"
        )
    # In every matrix of every pass it says that inputs are rounded to half precision, which is what 8 bits are.
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    # transformers' own default computes with float32, however the network is loaded: far slower on a GPU.
    compute = getattr(torch, loading.dtype or "float32")
    made: Any = BitsAndBytesConfig
    quantised = made(
        load_in_8bit=loading.load_in == "int8",
        load_in_4bit=loading.load_in == "int4",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
        # A list of one's own replaces the library's, which leaves the head out by itself.
        llm_int8_skip_modules=WHOLE,
    )
    return {**options, "dtype": compute, "quantization_config": quantised, "device_map": {"": device}}


def refuse_not_finite(tensors: Iterable[tuple[str, Tensor]], where: str) -> None:
    """Refuse weights of which one is not a number.

    Raises:
        TrainingError: names the tensors.
    """
    broken = [name for name, tensor in tensors if is_not_finite(tensor)]
    if broken:
        raise TrainingError(
            f"{where} holds numbers that are not finite, in {', '.join(broken)}: the network would answer nonsense. "
            "Take the weights from a checkpoint before they broke, or fetch the file again"
        )


def is_not_finite(tensor: Tensor) -> bool:
    """Whether there is a NaN or an infinite number in it."""
    if not tensor.is_floating_point() or not tensor.numel():
        return False
    # One pass and no copy, which matters for gigabytes: both ends are NaN if one number is.
    low, high = tensor.aminmax()
    return not bool(torch.isfinite(low) & torch.isfinite(high))


def tensors_of(files: Iterable[Path]) -> Iterable[tuple[str, Tensor]]:
    """Every tensor of safetensors files by name, one at a time."""
    for path in files:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                yield name, file.get_tensor(name)


def read_adapter(folder: Path) -> Mapping[str, Any]:
    """`adapter_config.json` of an adapter of peft.

    Raises:
        TrainingError: the folder holds no adapter of LoRA in safetensors.
    """
    missing = [name for name in ADAPTER_FILES if not (folder / name).is_file()]
    if missing:
        raise TrainingError(
            f"{folder} holds no {' and no '.join(missing)}: an adapter is the folder that `earthloom finetune` or "
            "peft's `save_pretrained` wrote, with safetensors"
        )
    config: Mapping[str, Any] = read_json(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != "LORA":
        raise TrainingError(f"{folder} is an adapter of kind {config.get('peft_type')}; LoRA's are supported")
    return config


def put_adapter(model: Any, base: Path, folder: Path, merge: bool) -> Any:
    """The model with an adapter.

    Args:
        model: as it was loaded.
        base: where from.
        folder: of the adapter.
        merge: add it to the weights, which costs nothing later; else it stays beside them.

    Raises:
        TrainingError: the adapter belongs to another base, does not fit, or is not finite.
    """
    from peft import LoraConfig, PeftModel, get_peft_model_state_dict

    read_adapter(folder)
    refuse_not_finite(tensors_of([folder / ADAPTER_WEIGHTS]), str(folder / ADAPTER_WEIGHTS))
    if (folder / FINETUNE_RECORD).is_file():
        trained_on = read_json(folder / FINETUNE_RECORD)["base"]
        if trained_on["hash"] != checkpoint_hash(base):
            raise TrainingError(
                f"{folder} was trained on {trained_on['path']}, and {base} holds other weights or another tokenizer: "
                "an adapter is nothing without the weights it was trained on"
            )
    config: Any = LoraConfig.from_pretrained(str(folder))
    config.inference_mode = True
    try:
        with warnings.catch_warnings():
            # peft 0.21 asks transformers 5.23 by a name that it calls deprecated.
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            adapted: Any = PeftModel.from_pretrained(model, folder, config=config)
    except (RuntimeError, ValueError, IndexError) as error:
        raise TrainingError(f"the adapter in {folder} does not fit {base}: {error}") from error
    # Said outright: by itself peft would ask a hub for the base, to see whether its vocabulary grew.
    expected = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    held = {name for name, _ in tensors_of([folder / ADAPTER_WEIGHTS])}
    if expected != held:
        raise TrainingError(
            f"the adapter in {folder} does not fit {base}: {', '.join(sorted(expected ^ held)[:6])} "
            "are on one side only"
        )
    return adapted.merge_and_unload() if merge else adapted.get_base_model()
