"""From arrays of bands, or pictures, and text to what the network takes: transformers' processor for EarthDial.

It travels with a checkpoint that leaves (`earthloom weights export --layout remote-code`), with the statistics of the
training chips in its settings: who has torch and transformers needs nothing else. Within Earthloom, `tasks.vlm` does
the same for files and chips.
"""

import re
from collections.abc import Sequence
from typing import Any

from transformers import BatchFeature, ProcessorMixin

from models.parts.image import Tiles, batch_images
from models.parts.padding import pad_left
from models.parts.prompt import IMAGE, IMAGE_CONTEXT, IMAGE_END, IMAGE_START, headed

ANSWER_BEGINS = re.compile(r"(?<=<\|assistant\|>\n)")
USER = re.compile(r"(?<=<\|user\|>\n)(.*?)(?=<\|end\|>)", re.DOTALL)


class EarthDialProcessor(ProcessorMixin):
    """Text with images as the network takes it, token by token as in training.

    `apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)` takes messages whose
    content is a text, or a list of `{"type": "image", "image": image}` and `{"type": "text", "text": text}`.
    """

    def __init__(self, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)  # type: ignore[no-untyped-call]

    def __call__(
        self, images: Any = None, text: Any = None, return_tensors: str | None = "pt", **_: Any
    ) -> BatchFeature:
        """Prompts with their images, padded on the left, as keyword arguments of the model's `generate`.

        Args:
            images: one image, the images of one prompt, or a list of them for each prompt; see
                `EarthDialImageProcessor`.
            text: one prompt or several, as the chat template writes them, with `<image>` for each image. A question
                that begins with its images is given the tags of their sensors, as in training.
            return_tensors: tensors come back whatever it says.

        Raises:
            ValueError: images and `<image>` differ in number, or an image cannot be shown.
        """
        prompts = [text] if isinstance(text, str) else list(text)
        given = _nested(images, len(prompts))
        shown = [self._shown(prompt, some) for prompt, some in zip(prompts, given, strict=True)]
        pad = self.tokenizer.pad_token_id
        ids, mask = pad_left([ids for ids, _ in shown], 0 if pad is None else pad)
        tiles = [tile for _, some in shown for tile in some]
        return BatchFeature({"input_ids": ids, "attention_mask": mask, **(batch_images(tiles) if tiles else {})})

    def _shown(self, prompt: str, images: Sequence[Any]) -> tuple[list[int], list[Tiles]]:
        """Token ids of a prompt, and the tiles of its images."""
        if prompt.count(IMAGE) != len(images):
            raise ValueError(f"{prompt.count(IMAGE)} {IMAGE} in the text, but {len(images)} images are given")
        waiting = iter(images)

        def tagged(match: "re.Match[str]") -> str:
            question = match[1]
            own = [next(waiting) for _ in range(question.count(IMAGE))]
            leading = re.match(rf"(?:\s*{IMAGE})+", question)
            if leading is None or leading[0].count(IMAGE) < len(own):
                return question  # who places images inside the text writes the tags too
            tags = self.image_processor.image_tags(own)
            return headed(question[leading.end() :], tags, len(own), self.image_processor.tags)

        prompt = USER.sub(tagged, prompt)
        tiles = self.image_processor.tiles(images) if images else []
        tokens = self.image_processor.tokens_per_tile
        for one in tiles:
            prompt = prompt.replace(IMAGE, f"{IMAGE_START}{IMAGE_CONTEXT * (one.count * tokens)}{IMAGE_END}", 1)
        # Cut where training cuts: what follows `<|assistant|>` was a text of its own for the tokenizer.
        parts = ANSWER_BEGINS.split(prompt)
        return [token for part in parts for token in self.tokenizer.encode(part, add_special_tokens=False)], tiles

    @property
    def model_input_names(self) -> list[str]:
        """Names of what `__call__` gives."""
        return ["input_ids", "attention_mask", *self.image_processor.model_input_names]


def _nested(images: Any, prompts: int) -> list[list[Any]]:
    """The images of each prompt."""
    if images is None:
        return [[] for _ in range(prompts)]
    if not isinstance(images, (list, tuple)):
        images = [images]
    if not all(isinstance(one, (list, tuple)) for one in images):
        if prompts > 1:
            raise ValueError("of several prompts, give the images as a list of lists, one for each prompt")
        images = [images]
    if len(images) != prompts:
        raise ValueError(f"images of {len(images)} prompts are given with {prompts} prompts")
    return [list(one) for one in images]
