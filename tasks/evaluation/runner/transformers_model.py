"""A model of transformers in a folder here: any that its image-text-to-text classes know, with a chat template.

Safetensors only, and no code from the folder is run. Images are shown in true colour.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from tasks.core.errors import MissingInputError, TrainingError, UnaskableError
from tasks.core.stage import checkpoint_hash
from tasks.evaluation.runner.questions import Answer, BenchmarkQuestion
from tasks.evaluation.runner.rgb_model import RgbModel, pictures_of, text_of, without_tags


@dataclass(frozen=True)
class LocalSettings:
    """How it is asked."""

    together: int = 8
    max_new_tokens: int = 256
    box_form: str = "earthdial"
    """The form the model writes boxes in, as far as the question tells it."""
    dtype: str = "float32"


class Local(RgbModel):
    """One of `tasks.evaluation.runner.questions.Model`."""

    def __init__(self, folder: Path, settings: LocalSettings, device: str = "cpu") -> None:
        """Load it.

        Raises:
            MissingInputError: there is no such folder.
            TrainingError: it holds no safetensors, no processor or chat template, or a model transformers does not
                know without running its code.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        super().__init__(settings.box_form)
        if not folder.is_dir():
            raise MissingInputError(f"{folder} is not a folder; fetch the model to one first")
        processors: Any = AutoProcessor
        networks: Any = AutoModelForImageTextToText
        closed = {"local_files_only": True, "trust_remote_code": False}
        dtype = getattr(torch, settings.dtype)
        try:
            self.processor: Any = processors.from_pretrained(folder, **closed)
            self.network: Any = networks.from_pretrained(folder, use_safetensors=True, dtype=dtype, **closed)
        except (OSError, ValueError, ImportError, KeyError) as error:
            raise TrainingError(f"{folder} cannot be loaded as a model of images and text: {error}") from error
        if getattr(self.processor, "chat_template", None) is None:
            raise TrainingError(f"{folder} has no chat template, so nothing says how it is asked")
        # A decoder continues from the last position: padding on the right would stand between prompt and answer.
        self.processor.tokenizer.padding_side = "left"
        self.network.to(torch.device(device)).eval()
        self.settings = settings
        self.hash = checkpoint_hash(folder)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """The checkpoint, and the settings that its answers depend on."""
        return {
            "kind": "transformers",
            "architecture": type(self.network).__name__,
            "checkpoint": self.hash,
            "max_new_tokens": self.settings.max_new_tokens,
            "dtype": self.settings.dtype,
            "boxes": self.box_form,
            "images": "8 bits, in true colour: other bands are not shown",
        }

    def answer(self, questions: Iterable[BenchmarkQuestion]) -> Iterator[Answer]:
        """Answers by greedy decoding, so many questions of like length together, padded on their left."""
        waiting = iter(questions)
        while batch := list(islice(waiting, self.settings.together)):
            talks, kept = [], []
            for one in batch:
                try:
                    pictures = pictures_of(one)
                except UnaskableError as error:
                    yield Answer.refused(one.number, error)
                    continue
                shown = [{"type": "image", "image": Image.fromarray(picture)} for picture in pictures]
                text = without_tags(text_of(one))
                talks.append([{"role": "user", "content": [*shown, {"type": "text", "text": text}]}])
                kept.append((one, text))
            if talks:
                yield from self._answered(talks, kept)

    @torch.inference_mode()
    def _answered(self, talks: list[Any], kept: list[tuple[BenchmarkQuestion, str]]) -> list[Answer]:
        inputs = self.processor.apply_chat_template(
            talks,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(self.network.device, self.network.dtype)
        longest = self.settings.max_new_tokens
        out = self.network.generate(**inputs, max_new_tokens=longest, do_sample=False, num_beams=1)
        ends = self.network.generation_config.eos_token_id
        stops = {ends} if isinstance(ends, int) else set(ends or ())
        answers = []
        for (one, text), row, mask in zip(kept, out, inputs["attention_mask"], strict=True):
            ids = row[inputs["input_ids"].shape[1] :].tolist()
            said = self.processor.tokenizer.decode(ids, skip_special_tokens=True).strip()
            stop = "end" if stops & set(ids) else "length"
            answers.append(Answer(one.number, text, said, stop, int(mask.sum())))
        return answers
