"""A vision or language model of transformers: loaded from safetensors alone, asked in batches.

Processors of pictures want torchvision for models that read videos too, even where none is read. What InternVL needs is
little, and is done here; other architectures are asked through the processor that comes with them.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from tasks.core.data_url import content_of
from tasks.core.errors import GenerationError
from tasks.generators.asks import Answer, Ask
from tasks.generators.params import ModelParams

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, by which InternVL's pictures are normalised."""
OWN = "internvl"
"""The architecture whose pictures are prepared here."""


class LocalModel:
    """A model with its tokenizer."""

    def __init__(self, params: ModelParams) -> None:
        """Load it.

        Raises:
            GenerationError: its files are missing, not safetensors, or not of an architecture that can be asked so.
        """
        is_folder = Path(params.name).is_dir()
        source: dict[str, Any] = {"trust_remote_code": params.remote_code, "local_files_only": is_folder}
        if not is_folder:
            source["revision"] = params.revision
        device = params.device if params.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(device)
        dtype = torch.float32 if self._device.type == "cpu" else torch.bfloat16
        try:
            config = AutoConfig.from_pretrained(params.name, **source)
            self._sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
            if params.pictures and not self._sees:
                raise GenerationError(
                    f"'{params.name}' ({config.model_type}) sees no pictures: set qa.model.pictures to 0"
                )
            kind = AutoModelForImageTextToText if self._sees else AutoModelForCausalLM
            model: Any = kind.from_pretrained(params.name, use_safetensors=True, dtype=dtype, **source)
            comes_with_one = params.pictures and config.model_type != OWN
            load: Any = AutoProcessor.from_pretrained
            self._processor: Any = load(params.name, **source) if comes_with_one else None
            tokenizer = AutoTokenizer.from_pretrained(params.name, **source)
        except (OSError, ValueError, ImportError, AttributeError, KeyError, RuntimeError) as error:
            first = str(error).strip().partition("\n")[0]
            raise GenerationError(
                f"the model '{params.name}' cannot be loaded: {first[:300]}. It must be of an architecture that this "
                "transformers knows, with its weights as safetensors"
            ) from error
        if not tokenizer.chat_template:
            raise GenerationError(f"'{params.name}' has no chat template: it is no model to talk with")
        self._model = model.to(self._device).eval()
        self._tokenizer = self._processor.tokenizer if self._processor else tokenizer
        self._tokenizer.padding_side = "left"
        ends = self._model.generation_config.eos_token_id
        self._ends = set(ends if isinstance(ends, list) else [ends]) | {self._tokenizer.eos_token_id}
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        text = config.get_text_config()
        self._longest = int(getattr(text, "max_position_embeddings", 0) or 0)

    def answers(self, asks: Sequence[Ask]) -> list[Answer]:
        """The answers to a batch of asks, in their order.

        Raises:
            GenerationError: the batch does not fit into the device's memory.
        """
        inputs = self._processed(asks) if self._processor else self._tokenized(asks)
        length = inputs["input_ids"].shape[1]
        room = max(ask.max_tokens for ask in asks)
        if self._longest and length + room > self._longest:
            fault = f"the prompt has {length} tokens, which with {room} of an answer is more than the {self._longest}"
            return [Answer("", fault=f"{fault} that the model can hold") for _ in asks]
        ask = asks[0]
        sampling: dict[str, float | None] = {"temperature": None, "top_p": None, "top_k": None}  # the likeliest
        if ask.temperature:
            sampling = {"temperature": ask.temperature, "top_p": ask.top_p, "top_k": 0}
        devices = [self._device] if self._device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices), torch.inference_mode():
                torch.manual_seed(ask.seed)  # of this batch alone: the state before it comes back
                ids = self._model.generate(
                    **inputs.to(self._device),
                    max_new_tokens=room,
                    do_sample=bool(ask.temperature),
                    pad_token_id=self._tokenizer.pad_token_id,
                    eos_token_id=sorted(end for end in self._ends if end is not None),
                    **sampling,
                )
        except torch.cuda.OutOfMemoryError as error:
            raise GenerationError(
                f"a batch of {len(asks)} does not fit into the memory of {self._device}: lower qa.model.in_flight"
            ) from error
        masks = inputs["attention_mask"].sum(1).tolist()
        rows = ids[:, length:].tolist()
        return [self._answer(row, ask, int(prompt)) for row, ask, prompt in zip(rows, asks, masks, strict=True)]

    def _answer(self, row: list[int], ask: Ask, prompt: int) -> Answer:
        end = next((place for place, token in enumerate(row) if token in self._ends), None)
        kept = row[: ask.max_tokens] if end is None or end > ask.max_tokens else row[:end]
        finish = "length" if end is None or end > ask.max_tokens else "stop"
        text = self._tokenizer.decode(kept, skip_special_tokens=True)
        return Answer(str(text), finish, "", prompt, len(kept))

    def _tokenized(self, asks: Sequence[Ask]) -> Any:
        """Tokens, and for InternVL the pictures and their places."""
        texts = [self._prompt(ask) for ask in asks]
        inputs = self._tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs.pop("token_type_ids", None)
        if any(ask.pictures for ask in asks):
            side = _side(self._model.config.vision_config.image_size)
            tiles = [_tile(picture.url, side) for ask in asks for picture in ask.pictures]
            inputs["pixel_values"] = torch.stack(tiles).to(self._model.dtype)
        return inputs

    def _prompt(self, ask: Ask) -> str:
        picture = ""
        if ask.pictures:
            config = self._model.config
            place = self._tokenizer.convert_ids_to_tokens(config.image_token_id) * config.image_seq_length
            picture = f"<img>{place}</img>\n" * len(ask.pictures)
        messages = [{"role": "system", "content": ask.system}, {"role": "user", "content": picture + ask.user}]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def _processed(self, asks: Sequence[Ask]) -> Any:
        conversations = []
        for ask in asks:
            content: list[dict[str, Any]] = [
                {"type": "image", "image": Image.open(io.BytesIO(content_of(picture.url)))} for picture in ask.pictures
            ]
            content.append({"type": "text", "text": ask.user})
            system = {"role": "system", "content": [{"type": "text", "text": ask.system}]}
            conversations.append([system, {"role": "user", "content": content}])
        return self._processor.apply_chat_template(
            conversations,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        )


def _side(size: Any) -> int:
    return int(size[0] if isinstance(size, list | tuple) else size)


def _tile(url: str, side: int) -> torch.Tensor:
    """A picture as one tile, (3, side, side), normalised."""
    picture = Image.open(io.BytesIO(content_of(url))).convert("RGB")
    levels = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
    normal = (levels - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(normal.transpose(2, 0, 1)))
