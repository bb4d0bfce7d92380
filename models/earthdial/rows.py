"""Sequences in rows of a cache, and one step of the model over some of them: what they read, and what they see.

Shapes:  B sequences that a step works on, Q new tokens of each, T tiles, D width of the language model
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.models.internvl.modeling_internvl import InternVLVisionModelOutputWithPooling

from models.earthdial.choose import GREEDY, Choosing
from models.earthdial.kept import Identity, Kept
from models.earthdial.model import EarthDialForConditionalGeneration
from models.earthdial.row_cache import Copied, RowCache
from models.earthdial.tiles import Tile, count_tiles, described, encode_tiles


@dataclass(frozen=True)
class Prompt:
    """One question, ready for the model."""

    ids: list[int]
    max_new_tokens: int
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """Image arguments of the model's `forward`; empty where there is no image."""
    choosing: Choosing = GREEDY
    identity: Identity | None = None
    """Of `models.earthdial.kept.identify`, where something may be kept."""


@dataclass
class Row:
    """A sequence that is being decoded."""

    number: int
    prompt: Prompt
    length: int
    """Tokens in the cache."""
    cached: int = 0
    """Of the prompt, that were kept from before."""
    copied: Copied = ()
    answer: list[int] = field(default_factory=list)
    gone: bool = False
    """Whether it was left before its images were seen; nothing of it is worth keeping."""

    @property
    def new(self) -> list[int]:
        """Tokens that the next step reads."""
        return self.answer[-1:] or self.prompt.ids[self.cached :]


class Reader:
    """The model, over the rows of one cache."""

    def __init__(self, model: EarthDialForConditionalGeneration, cache: RowCache, kept: Kept | None) -> None:
        self.model, self.cache, self.kept = model, cache, kept
        text: Any = model.config.text_config
        self.window: int | None = getattr(text, "sliding_window", None)
        self.filler: int = model.config.filler_token_id

    def logits(self, sequences: Sequence[Row], first: int, images: Tensor | None) -> Tensor:
        """Logits (B, V) after the new tokens of sequences in rows that follow one another."""
        device, new = self.model.device, [one.new for one in sequences]
        Q, starts = max(map(len, new)), [one.length for one in sequences]
        offset = torch.arange(Q)
        counts = torch.tensor([[len(ids)] for ids in new])
        ids = torch.tensor([[*ids, *[self.filler] * (Q - len(ids))] for ids in new])
        start = torch.tensor(starts)[:, None]
        # Padding is written behind the sequence, where its own tokens come later, and is never attended to before.
        at = (start + offset).to(device)
        self.cache.aim(first, at, max(starts) + Q)
        position = (start + torch.minimum(offset, counts - 1)).to(device)
        features = None if images is None else {"image": InternVLVisionModelOutputWithPooling(pooler_output=images)}
        last = sorted({len(one) - 1 for one in new})
        out = self.model(
            input_ids=ids.to(device),
            attention_mask=self._mask(position, self.cache.used),
            position_ids=position,
            past_key_values=self.cache,
            use_cache=True,
            mm_encoder_outputs=features,
            logits_to_keep=torch.tensor(last, device=device),
        )
        logits: Tensor = out.logits
        if len(last) > 1:
            kept = torch.tensor([last.index(len(one) - 1) for one in new], device=device)
            logits = logits[torch.arange(len(new), device=device), kept]
        else:
            logits = logits[:, 0]
        for one, ids_ in zip(sequences, new, strict=True):
            one.length += len(ids_)
        return logits

    def _mask(self, position: Tensor, used: int) -> Tensor:
        """(B, 1, Q, used) what each new token may not attend to, as a number that is added."""
        places = torch.arange(used, device=position.device)
        # What an earlier and longer sequence left behind a row's own tokens is masked, not erased.
        hidden = places > position[..., None]
        if self.window is not None:
            hidden |= places <= position[..., None] - self.window
        mask = torch.zeros(hidden.shape, dtype=self.model.dtype, device=position.device)
        return mask.masked_fill_(hidden, torch.finfo(mask.dtype).min)[:, None]

    def see(self, group: Sequence[Row], gone: Callable[[int], bool]) -> Tensor | None:
        """Visual tokens (T, tokens per tile, D) of the tiles that are read now, each encoded once.

        Args:
            group: what is read.
            gone: whether nobody wants the answer to a question, by its number: what is left of its tiles is not
                encoded, and zeros stand for them.
        """
        found: list[Tensor | None] = []
        lacking: list[tuple[int, Row, Tile]] = []
        for one in group:
            images, identity = described(one.prompt.images), one.prompt.identity
            for number in range(count_tiles(images)):
                if identity is not None and identity.starts[number] < one.cached:
                    continue
                found.append(self.kept.tile(identity.digests[number]) if self.kept and identity else None)
                if found[-1] is None:
                    lacking.append((len(found) - 1, one, Tile(images, number, one.number)))
        encoded = encode_tiles(self.model, [tile for *_, tile in lacking], gone)
        for (place, one, tile), tokens in zip(lacking, encoded, strict=True):
            found[place] = tokens
            if tokens is None:
                one.gone = True
            elif self.kept is not None and one.prompt.identity is not None:
                self.kept.keep_tile(one.prompt.identity.digests[tile.number], tokens)
        if not found:
            return None
        text: Any = self.model.config.text_config
        shape = (self.model.config.tokens_per_tile, text.hidden_size)
        nothing = torch.zeros(shape, dtype=self.model.dtype, device=self.model.device)
        return torch.stack([nothing if tokens is None else tokens for tokens in found])
