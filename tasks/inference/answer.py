"""A trained checkpoint that answers questions about images: load, ask, decode."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.earthdial.generate import generate
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.prompt import PromptError, encode, render
from tasks.core.errors import TrainingError
from tasks.core.stage import require
from tasks.inference.pixels import Image, Normalisation, batch_images


@dataclass(frozen=True)
class Question:
    """What is asked about one image: the question with its tags and `<image>`, after the turns that went
    before.
    """

    image: Image
    turns: tuple[tuple[str, str], ...]

    @property
    def prompt(self) -> str:
        """The text that is shown, images as `<image>`."""
        return render(self.turns)


class Answerer:
    """A model with its tokenizer and its normalisation, all from one checkpoint's folder."""

    def __init__(self, checkpoint: Path, device: str = "cpu") -> None:
        from transformers import PreTrainedTokenizerFast
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        require(checkpoint / "model.safetensors")
        self.tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(checkpoint)
        self.normalise = Normalisation.load(checkpoint)
        self.model: EarthDialForConditionalGeneration = EarthDialForConditionalGeneration.from_pretrained(checkpoint)
        self.model.to(torch.device(device))  # type: ignore[arg-type]
        self.model.eval()  # type: ignore[no-untyped-call]

    def encode(self, question: Question) -> list[int]:
        """Token ids of the prompt.

        Raises:
            TrainingError: the images and the `<image>` in the text differ in number.
        """
        try:
            return encode(self.tokenizer, question.turns, [self.model.config.tokens_per_tile]).ids
        except PromptError as error:
            raise TrainingError(f"the question {question.turns[-1][0]!r} cannot be asked: {error}") from error

    def ask(self, questions: Sequence[Question], batch: int, max_new_tokens: int, blank: bool = False) -> list[str]:
        """Answers by greedy decoding, in the order of the questions.

        Args:
            questions: about one image each.
            batch: questions answered side by side; those of like length are put together.
            max_new_tokens: longest answer.
            blank: replace every pixel by the training mean: the no-image baseline.
        """
        prompts = [self.encode(question) for question in questions]
        order = sorted(range(len(questions)), key=lambda index: (len(prompts[index]), index))
        answers = [""] * len(questions)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            images = batch_images([questions[index].image for index in chosen], self.model.config.image_size, blank)
            ids = generate(self.model, [prompts[index] for index in chosen], images, max_new_tokens)
            for index, answer in zip(chosen, ids, strict=True):
                answers[index] = self.tokenizer.decode(answer, skip_special_tokens=True).strip()
        return answers
