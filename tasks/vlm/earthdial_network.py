"""EarthDial as a network that is asked: one prompt a question, answers from continuous batching."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from models.earthdial import rows
from models.earthdial.continuous_batching import Usage, answer_all
from models.earthdial.generate import stream
from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.prompt import Turns, encode, layout_of, render
from tasks.vlm.earthdial_side_by_side import EarthDialSideBySide
from tasks.vlm.json_answers import JsonSchemas
from tasks.vlm.network import Ask, Finished, Network, Prompt
from tasks.vlm.sampling import Sampling


class EarthDialNetwork(Network):
    """One of `tasks.vlm.network.Network`."""

    kind = EarthDialForConditionalGeneration
    adaptable = True

    def encode(self, turns: Turns, tokens_per_image: Sequence[int], system: str) -> Prompt:
        """The conversation in tokens."""
        layout = layout_of(self.model.config)
        ids = encode(self.tokenizer, turns, tokens_per_image, system, layout=layout).ids
        return Prompt(render(turns, system, layout), (tuple(ids),))

    def answer_all(self, questions: Iterable[Ask], batch: int, usage: Usage) -> Iterator[Finished]:
        """Greedy answers, from `models.earthdial.continuous_batching`."""
        prompts = (rows.Prompt(list(one.prompt.ids[0]), one.max_new_tokens, one.images) for one in questions)
        for done in answer_all(self.model, prompts, batch, usage):
            yield Finished(done.number, self.decode(done.ids), done.ended)

    def stream(self, ask: Ask) -> Iterator[str]:
        """The answer, word by word."""
        yield from stream(self.model, self.tokenizer, self._inputs(ask), ask.max_new_tokens)

    def check(self, sampling: Sampling) -> None:
        """Refuse a schema that cannot be kept to."""
        if sampling.json_schema is not None:
            self._schemas.constraint(sampling.json_schema)

    def side_by_side(self, rows: int, kept_bytes: int) -> EarthDialSideBySide:
        """The answers of a server, in one batch."""
        return EarthDialSideBySide(self, self._schemas, rows, kept_bytes)

    @cached_property
    def _schemas(self) -> JsonSchemas:
        config = self.model.config
        return JsonSchemas(self.tokenizer, config.text_config.vocab_size, config.end_token_id)

    def _inputs(self, ask: Ask) -> dict[str, Tensor]:
        """What the model's `generate` takes, on its device."""
        ids = torch.tensor([ask.prompt.ids[0]])
        tensors = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **ask.images}
        return {name: tensor.to(self.model.device) for name, tensor in tensors.items()}
