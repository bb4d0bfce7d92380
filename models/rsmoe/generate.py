"""Greedy answers of the experts: all of them and all questions in one batch.

A caption is joined from what each expert writes by itself. Any other question has one answer: every expert reads it,
and each next token is the likeliest of the mixture of their probabilities, by the router's weights. (Of how the paper
comes from three texts to one answer nothing is published: spec, section 1.4. This is ours.)

Shapes:  B questions, E experts, L tokens of the longest prompt, V rows of the vocabulary
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from models.parts.padding import pad_left, pad_right
from models.rsmoe.model import RsMoeForConditionalGeneration, Seen
from models.rsmoe.prompt import ExpertError

PROMPT_LENGTH = 32
"""Most tokens of a prompt that the generative router writes."""


@dataclass(frozen=True)
class Prompt:
    """One question, ready for the network."""

    ids: tuple[tuple[int, ...], ...]
    """Tokens for each expert, its template in the place of the system prompt; one entry for the dense network."""
    instruction: tuple[int, ...]
    """The question in tokens of the Q-Former."""
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """Image arguments of the model's `see`; empty where there is no image."""
    joined: bool = False
    """Whether the experts' texts are joined, as those of a caption are, or their probabilities mixed."""
    requests: tuple[tuple[int, ...], ...] = ()
    """With `router: generative`, what the network without experts is asked for each expert's prompt; see
    `models.rsmoe.prompt.request_for`."""


@dataclass(frozen=True)
class Answered:
    """What the network answers to one question."""

    ids: list[list[int]]
    """Tokens of each expert's text, without what ends it; one entry where there is one answer."""
    ended: bool
    """Whether the network ended all of it; otherwise it was cut."""
    weights: list[float]
    """Of the experts, by the router; empty for the dense network."""


def template_places(ids: Sequence[int], prompt_tokens: int, end: int, expert: str) -> list[int]:
    """Places of the tokens of a template that the router changes: those after `<|system|>`.

    Raises:
        ExpertError: the template has fewer tokens.
    """
    there = next((place for place, token in enumerate(ids) if token == end), len(ids)) - 1
    if there < prompt_tokens:
        raise ExpertError(
            f"the prompt of expert {expert} has {max(there, 0)} tokens, of which the router changes {prompt_tokens}: "
            "make it longer"
        )
    return list(range(1, 1 + prompt_tokens))


@torch.inference_mode()
def answer(
    model: RsMoeForConditionalGeneration, prompts: Sequence[Prompt], max_new_tokens: int, *, dense: bool = False
) -> list[Answered]:
    """Answers to some questions, decoded side by side.

    Args:
        model: in eval mode.
        prompts: the questions.
        max_new_tokens: longest text of an expert.
        dense: run the language model without experts, as the generative router does; each prompt has one entry then.

    Raises:
        ExpertError: a prompt has another number of entries than there are experts, a template is too short for the
            router, or a token is beyond the vocabulary.
    """
    decoding = _Decoding(model, prompts, dense)
    for _ in decoding.steps(max_new_tokens):
        pass
    return decoding.answers()


def write_prompts(model: RsMoeForConditionalGeneration, prompts: Sequence[Prompt]) -> list[Prompt]:
    """The generative router: the network without experts writes each expert's prompt for image and question.

    What it writes takes the place of the template. It is not trained to do so (spec, section 1.2, reading B).

    Raises:
        ExpertError: a prompt comes without requests, or nothing was written for an expert.
    """
    names = model.config.experts or []
    if any(len(prompt.requests) != len(names) for prompt in prompts):
        raise ExpertError("the generative router writes a prompt for each expert: give as many requests")
    asked = [replace(prompt, ids=(request,), joined=False) for prompt in prompts for request in prompt.requests]
    written = iter(answer(model, asked, PROMPT_LENGTH, dense=True))
    out = []
    for prompt in prompts:
        ids = []
        for name, old in zip(names, prompt.ids, strict=True):
            text = next(written).ids[0]
            if not text:
                raise ExpertError(f"the router wrote no prompt for expert {name}; use `router: trained` or `fixed`")
            end = old.index(model.config.end_token_id)
            # The first two tokens are `<|system|>` and the end of its line.
            ids.append((*old[:2], *text, *old[end:]))
        out.append(replace(prompt, ids=tuple(ids)))
    return out


@torch.inference_mode()
def stream(
    model: RsMoeForConditionalGeneration, prompt: Prompt, max_new_tokens: int, *, dense: bool = False
) -> Iterator[Answered]:
    """The answer to one question after each step, the last time whole."""
    decoding = _Decoding(model, [prompt], dense)
    for _ in decoding.steps(max_new_tokens):
        yield decoding.answers()[0]


class _Decoding:
    """Questions being answered: a row for each expert and question, all questions of the first expert first."""

    def __init__(self, model: RsMoeForConditionalGeneration, prompts: Sequence[Prompt], dense: bool) -> None:
        config = model.config
        if config.router == "generative" and config.number_of_experts and not dense:
            prompts = write_prompts(model, prompts)
        self.model, self.prompts = model, prompts
        self.experts = 1 if dense or not config.number_of_experts else config.number_of_experts
        self.mixes = config.number_of_experts > 0 and not dense
        wrong = [len(prompt.ids) for prompt in prompts if len(prompt.ids) != self.experts]
        if wrong:
            raise ExpertError(f"a prompt has {wrong[0]} entries, one for each expert; the network has {self.experts}")
        _check_vocabularies(model, prompts)
        self.stops = {config.end_token_id, config.filler_token_id}
        self.texts: list[list[int]] = [[] for _ in range(self.rows)]
        self.open = [True] * self.rows
        self.log_weights: Tensor | None = None

    @property
    def rows(self) -> int:
        """One a question and expert."""
        return self.experts * len(self.prompts)

    def answers(self) -> list[Answered]:
        """What has been decoded so far."""
        number = len(self.prompts)
        out = []
        for place, prompt in enumerate(self.prompts):
            rows = range(place, self.rows, number) if prompt.joined else [place]
            weights = [] if self.log_weights is None else self.log_weights[place].exp().tolist()
            ended = not any(self.open[row] for row in rows)
            out.append(Answered([list(self.texts[row]) for row in rows], ended, weights))
        return out

    def steps(self, max_new_tokens: int) -> Iterator[None]:
        """Decode a token of every row at a time."""
        embeds, mask = self._begin()
        caches = [DynamicCache() for _ in range(1 if self._shared else self.experts)]
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        # One step beyond the longest: it says whether a text was complete or is cut.
        for _ in range(max_new_tokens + 1):
            log_p = self._next(embeds, mask, positions, caches)
            tokens = self._choose(log_p, max_new_tokens)
            yield
            if not any(self.open):
                return
            embed: Any = self.model.get_input_embeddings()
            embeds = embed(tokens[:, None])
            mask = torch.nn.functional.pad(mask, (0, 1), value=1)
            positions = positions[:, -1:] + 1

    @property
    def _shared(self) -> bool:
        return self.model.dispatch is not None or not self.mixes

    def _begin(self) -> tuple[Tensor, Tensor]:
        """Embeddings (rows, L, D) of all prompts, padded on the left, and their mask (rows, L)."""
        config, device = self.model.config, self.model.device
        prompts = [prompt.ids[expert] for expert in range(self.experts) for prompt in self.prompts]
        ids, mask = (tensor.to(device) for tensor in pad_left(prompts, config.filler_token_id))
        length = ids.shape[1]
        seen, order = self._see(device)
        if not self.mixes:
            return self.model.embed(ids, seen, order), mask
        if seen is None:
            raise ExpertError("the router sees no image: give at least one, or ask the network without experts")
        counts = [_tiles(prompt) for prompt in self.prompts]
        samples = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(device)
        routed = self.model.route(seen, samples)
        self.log_weights = routed.log_weights
        if config.router != "trained":  # prompts as they are, which may be shorter than what a router changes
            return self.model.embed(ids, seen, order), mask
        names = config.experts or []
        places = [
            [row * length + length - len(one) + place for place in self._places(one, names[row // len(counts)])]
            for row, one in enumerate(prompts)
        ]
        # (B, E, K, D) -> rows by expert.
        added = routed.prompts.transpose(0, 1).flatten(0, 1)
        return self.model.embed(ids, seen, order, added, torch.tensor(places, device=device)), mask

    def _places(self, ids: Sequence[int], expert: str) -> list[int]:
        config = self.model.config
        return template_places(ids, config.prompt_tokens, config.end_token_id, expert)

    def _see(self, device: torch.device) -> tuple[Seen | None, Tensor | None]:
        """What the Q-Former makes of all images, and the tiles in the order of the rows."""
        shown = [prompt for prompt in self.prompts if prompt.images]
        if not shown:
            return None, None
        images = {name: torch.cat([one.images[name] for one in shown]) for name in shown[0].images}
        counts = [_tiles(prompt) for prompt in self.prompts]
        starts = torch.tensor([0, *counts]).cumsum(0).tolist()
        offsets = [start for start, prompt in zip(starts, self.prompts, strict=False) if prompt.images]
        images["tile_of_group"] = torch.cat(
            [one.images["tile_of_group"] + offset for one, offset in zip(shown, offsets, strict=True)]
        )
        texts = [prompt.instruction for prompt, count in zip(self.prompts, counts, strict=True) for _ in range(count)]
        ids, mask = pad_right(texts, self.model.config.instruction_length)
        on_device = {name: tensor.to(device) for name, tensor in images.items()}
        seen = self.model.see(**on_device, instruction_ids=ids.to(device), instruction_mask=mask.to(device))
        once = [torch.arange(start, end) for start, end in pairwise(starts)]
        return seen, torch.cat(once * self.experts).to(device)

    def _next(self, embeds: Tensor, mask: Tensor, positions: Tensor, caches: list[DynamicCache]) -> Tensor:
        """Log-probabilities (rows, V) of the token after the last."""
        model, number = self.model, len(self.prompts)
        tokens = (number * embeds.shape[1],) * self.experts
        last: Tensor
        if self._shared:
            if model.dispatch is not None:
                model.dispatch.tokens = tokens if self.mixes else None
            out = model.text_model(
                inputs_embeds=embeds,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=caches[0],
                use_cache=True,
            )
            last = model.language_model.lm_head(out.last_hidden_state[:, -1])
        else:
            separate: Any = model.expert_models
            cut = [torch.split(x, number) for x in (embeds, mask, positions)]
            parts = zip(*cut, separate, caches, strict=True)
            rows = []
            for some, there, at, expert, cache in parts:
                out = expert.model(
                    inputs_embeds=some, attention_mask=there, position_ids=at, past_key_values=cache, use_cache=True
                )
                rows.append(expert.lm_head(out.last_hidden_state[:, -1]))
            last = torch.cat(rows)
        return last.float().log_softmax(-1)

    def _choose(self, log_p: Tensor, longest: int) -> Tensor:
        """Take the next token of every row: its own where texts are joined, that of the mixture elsewhere."""
        number = len(self.prompts)
        own = log_p.argmax(-1)
        if self.log_weights is not None:
            mixed = (log_p.view(self.experts, number, -1) + self.log_weights.T[..., None]).logsumexp(0).argmax(-1)
            joined = torch.tensor([prompt.joined for prompt in self.prompts], device=own.device)
            own = torch.where(joined.repeat(self.experts), own, mixed.repeat(self.experts))
        for row, token in enumerate(own.tolist()):
            if token in self.stops:
                self.open[row] = False
            elif self.open[row] and len(self.texts[row]) < longest:
                self.texts[row].append(token)
        return own


def _tiles(prompt: Prompt) -> int:
    """Tiles of a question's images."""
    return int(prompt.images["tile_of_group"][-1]) + 1 if prompt.images else 0


def _check_vocabularies(model: RsMoeForConditionalGeneration, prompts: Sequence[Prompt]) -> None:
    """Refuse tokens that have no row: torch would name neither the token nor the table."""
    text: Any = model.config.text_config
    qformer: Any = model.config.qformer_config
    for whose, rows, texts in (
        ("the vocabulary", text.vocab_size, [ids for prompt in prompts for ids in prompt.ids]),
        ("the Q-Former's vocabulary", qformer.vocab_size, [prompt.instruction for prompt in prompts]),
    ):
        highest = max((max(ids) for ids in texts if ids), default=0)
        if highest >= rows:
            raise ExpertError(
                f"a prompt has token {highest}, but {whose} has {rows} rows: the tokenizer is that of another network"
            )
