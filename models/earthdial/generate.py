"""Greedy answers: for a batch of prompts, each padded on its left so that all answers begin at one place; or one
answer, streamed as text.
"""

from collections.abc import Iterator, Mapping, Sequence
from threading import Event, Thread
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList, TextIteratorStreamer

from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.padding import pad_left


@torch.inference_mode()
def generate(
    model: EarthDialForConditionalGeneration,
    prompts: Sequence[Sequence[int]],
    images: dict[str, Tensor],
    max_new_tokens: int,
) -> list[list[int]]:
    """Token ids of the answers, without what ends them.

    Args:
        model: in eval mode.
        prompts: token ids, as `models.parts.prompt.encode` gives them for an open answer.
        images: pixel_values, tile_of_group, wavelengths and band_mask of all prompts' images, in order.
        max_new_tokens: longest answer.
    """
    device = model.device
    config = model.config
    ids, mask = pad_left(prompts, config.filler_token_id)
    transformers_model: Any = model  # its `generate` is typed for transformers' own classes only
    out: Tensor = transformers_model.generate(
        input_ids=ids.to(device),
        attention_mask=mask.to(device),
        **{name: tensor.to(device) for name, tensor in images.items()},
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
    )
    stops = (config.end_token_id, config.filler_token_id)
    answers = []
    for row in out[:, ids.shape[1] :].tolist():
        end = next((place for place, token in enumerate(row) if token in stops), len(row))
        answers.append(row[:end])
    return answers


def stream(
    model: EarthDialForConditionalGeneration, tokenizer: Any, inputs: Mapping[str, Tensor], max_new_tokens: int
) -> Iterator[str]:
    """The answer to one prompt as its words come. Closing the iterator stops generation.

    Args:
        model: in eval mode.
        tokenizer: decodes the answer, without its special tokens.
        inputs: input_ids (1, L), attention_mask (1, L) and the image arguments of the model's `forward`.
        max_new_tokens: longest answer.
    """
    streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    left = Event()
    failed: list[Exception] = []
    transformers_model: Any = model

    def stop(ids: Tensor, _: Any) -> Tensor:
        return torch.full((len(ids),), left.is_set(), device=ids.device)

    @torch.inference_mode()
    def run() -> None:
        try:
            transformers_model.generate(
                **inputs,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                use_cache=True,
                streamer=streamer,
                stopping_criteria=StoppingCriteriaList([stop]),
            )
        except Exception as error:
            failed.append(error)
            streamer.end()  # type: ignore[no-untyped-call]

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield from (text for text in streamer if text)
    finally:
        left.set()
        thread.join()
    if failed:
        raise failed[0]
