"""EarthDial as a network that is asked: one prompt a question, answers from continuous batching."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from models.earthdial import continuous_batching
from models.earthdial.continuous_batching import Usage, answer_all
from models.earthdial.generate import stream
from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.prompt import Turns, encode, layout_of, render
from tasks.vlm.network import Ask, Finished, Network, Prompt, Running, ServingThread


class EarthDialNetwork(Network):
    """One of `tasks.vlm.network.Network`."""

    kind = EarthDialForConditionalGeneration
    samples = True
    adaptable = True

    def encode(self, turns: Turns, tokens_per_image: Sequence[int], system: str) -> Prompt:
        """The conversation in tokens."""
        layout = layout_of(self.model.config)
        ids = encode(self.tokenizer, turns, tokens_per_image, system, layout=layout).ids
        return Prompt(render(turns, system, layout), (tuple(ids),))

    def answer_all(self, questions: Iterable[Ask], batch: int, usage: Usage) -> Iterator[Finished]:
        """Greedy answers, from `models.earthdial.continuous_batching`."""
        prompts = (
            continuous_batching.Prompt(list(one.prompt.ids[0]), one.max_new_tokens, one.images) for one in questions
        )
        for done in answer_all(self.model, prompts, batch, usage):
            yield Finished(done.number, self.decode(done.ids), done.ended)

    def stream(self, ask: Ask) -> Iterator[str]:
        """The answer, word by word."""
        yield from stream(self.model, self.tokenizer, self._inputs(ask), ask.max_new_tokens)

    def start(self, thread: ServingThread, ask: Ask, sampling: Any) -> Running:
        """On transformers' own serving layer."""
        queue, streamer = thread.generate_streaming(
            self.model, self.tokenizer, self._inputs(ask), sampling, request_id=""
        )
        return Running(
            queue,
            streamer.cancel,
            lambda: streamer.total_tokens,
            lambda: streamer.total_tokens >= ask.max_new_tokens,
        )

    def _inputs(self, ask: Ask) -> dict[str, Tensor]:
        """What the model's `generate` takes, on its device."""
        ids = torch.tensor([ask.prompt.ids[0]])
        tensors = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **ask.images}
        return {name: tensor.to(self.model.device) for name, tensor in tensors.items()}
