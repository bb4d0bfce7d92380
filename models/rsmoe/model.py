"""RS-MoE: InstructBLIP's vision encoder and Q-Former, an instruction router, and experts that each see the same image.

Without experts it is the dense network of stage 1, InstructBLIP with band groups fused before the Q-Former. Of the
dense weights nothing is changed by adding experts: at the first step of stage 2 every expert gives the logits of
stage 1 (paper: "proper initialization", to mitigate what sparsity costs).

Shapes:  N groups, T tiles, B sequences, S tokens, Q sequences of a pack, E experts, K prompt tokens
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    GenerationConfig,
    InstructBlipForConditionalGeneration,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from models.parts.band_groups import prepare_groups
from models.parts.fusion import BandGroupFusion, ZeroLinear
from models.parts.head import LanguageHead, mean_loss, supervised
from models.rsmoe.config import RsMoeConfig
from models.rsmoe.experts import ExpertLinear, add_experts
from models.rsmoe.flops import step_flops
from models.rsmoe.parts import PARTS, part_of
from models.rsmoe.prompt import ExpertError
from models.rsmoe.router import InstructionRouter, Routed


@dataclass(frozen=True)
class Seen:
    """What vision encoder and Q-Former make of some tiles."""

    tokens: Tensor
    """(T, queries, width of the language model), the visual tokens."""
    outputs: Tensor
    """(T, queries + question, channels of the Q-Former), which the router reads."""
    mask: Tensor
    """(T, queries + question), True where there is a token."""


class RsMoeForConditionalGeneration(InstructBlipForConditionalGeneration):  # type: ignore[no-untyped-call]
    """The whole network. `from_pretrained` and `save_pretrained` are those of transformers."""

    config: RsMoeConfig
    config_class = RsMoeConfig

    def __init__(self, config: RsMoeConfig) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        text: Any = config.text_config
        qformer: Any = config.qformer_config
        self.band_fusion = BandGroupFusion(vision.hidden_size, config.fusion_heads, config.fusion)
        language: Any = self.language_model
        language.lm_head = LanguageHead(text.hidden_size, text.vocab_size)
        self.dispatch = None
        if config.number_of_experts:
            self.router = InstructionRouter(
                config.number_of_experts,
                config.prompt_tokens,
                qformer.hidden_size,
                qformer.num_attention_heads,
                text.hidden_size,
            )
            if config.realisation == "shared":
                self.dispatch = add_experts(
                    language,
                    config.number_of_experts,
                    config.lora_targets or (),
                    config.lora_rank,
                    config.lora_alpha,
                    config.lora_dropout,
                )
            else:
                build: Any = AutoModelForCausalLM.from_config
                models = [build(text) for _ in range(config.number_of_experts)]
                for one in models:
                    one.lm_head = LanguageHead(text.hidden_size, text.vocab_size)
                self.expert_models = nn.ModuleList(models)
        self.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
        )
        self.post_init()  # type: ignore[no-untyped-call]

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As transformers does it, but whole: no weight is left to chance, whoever loads it.

        With `output_loading_info` it is for the caller to look at what is missing.

        Raises:
            ExpertError: weights are missing or of another shape, as those of an expert that was not saved or of
                adapters that were trained on another base; each is named.
        """
        load: Any = super().from_pretrained
        if kwargs.get("output_loading_info"):
            return load(*args, **kwargs)
        strict = {"output_loading_info": True, "ignore_mismatched_sizes": True}
        model, report = load(*args, **{**kwargs, **strict})
        wrong = [f"{name} is missing" for name in sorted(report["missing_keys"])]
        wrong += [
            f"{name} is {list(found)} instead of {list(wanted)}"
            for name, found, wanted in sorted(report["mismatched_keys"])
        ]
        if wrong:
            raise ExpertError(f"{model.name_or_path} does not hold the network of its config.json: {'; '.join(wrong)}")
        return model

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, ZeroLinear):
            module.reset_parameters()
        elif isinstance(module, ExpertLinear):
            module.reset_adapters()
        elif isinstance(module, InstructionRouter):
            module.reset()
        elif isinstance(module, RsMoeForConditionalGeneration):
            # InstructBLIP's own start is zero, since BLIP-2's weights take its place: fresh queries that are all alike
            # would stay alike.
            nn.init.normal_(module.query_tokens, std=0.02)

    @property
    def text_model(self) -> Any:
        """The language model without its head, which all tokens go through."""
        language: Any = self.language_model
        return language.model

    @property
    def text_models(self) -> list[Any]:
        """Every language model there is: one, and one an expert where they are separate."""
        separate: Any = getattr(self, "expert_models", ())
        return [self.text_model, *(one.model for one in separate)]

    def see(
        self,
        pixel_values: Tensor,
        instruction_ids: Tensor,
        instruction_mask: Tensor,
        tile_of_group: Tensor | None = None,
        wavelengths: Tensor | None = None,
        band_mask: Tensor | None = None,
        days: Tensor | None = None,
    ) -> Seen:
        """Encode, fuse and query some tiles.

        Args:
            pixel_values: (T, bands, H, W), or with `tile_of_group` (N, 3, H, W), the groups of three bands of all
                tiles; as in EarthDial.
            instruction_ids: (T, L) the question of each tile, in tokens of the Q-Former.
            instruction_mask: (T, L) True where there is a token.
            tile_of_group: (N,) index of each group's tile, rising from 0; a tile's first group comes first.
            wavelengths: (N, 3) centre wavelengths in micrometres, NaN where unknown.
            band_mask: (N, 3) True where a channel holds a band.
            days: (N,) days since the first date of the tile.

        Raises:
            ValueError: the shapes disagree, or an image has one band and no `band_mask` that says which.
        """
        repeat = self.config.fusion == "mosaic"
        groups = prepare_groups(pixel_values, tile_of_group, wavelengths, band_mask, days, repeat)
        encoded = self.vision_model(pixel_values=groups.pixels.to(self.vision_model.dtype)).last_hidden_state
        # The class token has a place of its own, and is fused like any patch: the Q-Former attends to all of them.
        tiles = self.band_fusion(encoded, groups.tile, groups.wavelengths, groups.band_mask, groups.days)
        if len(instruction_ids) != len(tiles):
            raise ValueError(f"{len(tiles)} tiles, but {len(instruction_ids)} questions for the Q-Former")
        queries = self.query_tokens.expand(len(tiles), -1, -1)
        mask = torch.cat([instruction_mask.new_ones(queries.shape[:2]), instruction_mask], dim=1).bool()
        outputs = self.qformer(
            input_ids=instruction_ids,
            attention_mask=mask.long(),
            query_embeds=queries,
            encoder_hidden_states=tiles,
        ).last_hidden_state
        return Seen(self.language_projection(outputs[:, : queries.shape[1]]), outputs, mask)

    def route(self, seen: Seen, sample_of_tile: Tensor) -> Routed:
        """What the router makes of some samples; with `router: fixed` templates as they are, and equal weights.

        Raises:
            ExpertError: the network is dense.
        """
        if not self.config.number_of_experts:
            raise ExpertError("this network has no experts to route to: it is the dense one of stage 1")
        routed: Routed = self.router(seen.outputs, seen.mask, sample_of_tile)
        if self.config.router == "trained":
            return routed
        # Times zero, not skipped: processes that train together must all have a gradient for every parameter.
        return Routed(routed.prompts * 0, (routed.log_weights * 0).log_softmax(-1))

    def embed(
        self,
        input_ids: Tensor,
        seen: Seen | None,
        tile_order: Tensor | None = None,
        prompts: Tensor | None = None,
        prompt_places: Tensor | None = None,
    ) -> Tensor:
        """Embeddings (B, S, D) of text, visual tokens in their places and what the router adds to templates.

        Args:
            input_ids: (B, S).
            seen: of the images; None where there is none.
            tile_order: tiles in the order in which their tokens stand in `input_ids`; each once if None.
            prompts: (Q, K, D), added at
            prompt_places: (Q, K) places in the flattened `input_ids`.

        Raises:
            ValueError: the text has another number of places than there are visual tokens.
        """
        embed: Any = self.get_input_embeddings()
        embeds: Tensor = embed(input_ids)
        places = input_ids == self.config.image_token_id
        tokens = embeds.new_zeros(0) if seen is None else seen.tokens
        if seen is not None and tile_order is not None:
            tokens = tokens[tile_order]
        count = 0 if seen is None else tokens.shape[0] * tokens.shape[1]
        if int(places.sum()) != count:
            raise ValueError(f"{int(places.sum())} <IMG_CONTEXT> in input_ids do not match {count} visual tokens")
        if count:
            embeds = embeds.masked_scatter(places[..., None], tokens.to(embeds.dtype))
        if prompts is not None and prompt_places is not None:
            flat = embeds.flatten(0, 1)
            added = flat.index_add(0, prompt_places.flatten(), prompts.flatten(0, 1).to(flat.dtype))
            embeds = added.view_as(embeds)
        return embeds

    def forward(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        tile_of_group: Tensor | None = None,
        wavelengths: Tensor | None = None,
        band_mask: Tensor | None = None,
        days: Tensor | None = None,
        *,
        instruction_ids: Tensor | None = None,
        instruction_mask: Tensor | None = None,
        sample_of_tile: Tensor | None = None,
        tile_order: Tensor | None = None,
        expert_tokens: tuple[int, ...] | None = None,
        expert_of_sequence: Tensor | None = None,
        sample_of_sequence: Tensor | None = None,
        prompt_places: Tensor | None = None,
        gate_targets: Tensor | None = None,
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int | None = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        skip_logits: bool = False,
        logits_to_keep: int | Tensor = 0,
        use_cache: bool = False,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits, and the loss if `labels` are given, of a pack of samples or of a batch.

        Args:
            input_ids: (B, S) tokens, `<IMG_CONTEXT>` where a visual token goes. With experts the sequences stand by
                expert: all of the first, then all of the second.
            pixel_values: see `see`, as are tile_of_group, wavelengths, band_mask and days.
            tile_of_group: (N,).
            wavelengths: (N, 3).
            band_mask: (N, 3).
            days: (N,).
            instruction_ids: (T, L).
            instruction_mask: (T, L).
            sample_of_tile: (T,) rising from 0; None where there are no experts.
            tile_order: see `embed`.
            expert_tokens: tokens of each expert, in order; None runs the language model without experts.
            expert_of_sequence: (Q,) number of the expert of each sequence.
            sample_of_sequence: (Q,) number of the sample of each sequence.
            prompt_places: (Q, K) places of the first tokens of each sequence's template, in the flattened `input_ids`.
            gate_targets: (B,) expert that each sample's answer belongs to, -100 where it belongs to several.
            position_ids: (B, S).
            attention_mask: (B, S); None in packs.
            cu_seq_lens_q: ends of the sequences of a pack.
            max_length_q: tokens of the longest, or more.
            labels: (B, S), the token itself where a loss is taken on it, -100 elsewhere.
            num_items_in_batch: what the sum of the losses is divided by; the tokens learned here if None.
            skip_logits: take the loss in chunks; `.logits` is None then.
            logits_to_keep: the last so many, 0 for all, or places in the sequence.
            use_cache: must be False: answers are generated by `models.rsmoe.generate`.

        Raises:
            ValueError: shapes or numbers disagree, or there is nothing to learn.
            ExpertError: experts are asked of the dense network.
        """
        if use_cache:
            raise ValueError("answers are generated by models.rsmoe.generate; forward keeps no cache")
        if skip_logits and labels is None:
            raise ValueError("skip_logits leaves only the loss, and that needs labels")
        seen = routed = prompts = None
        if pixel_values is not None:
            if instruction_ids is None or instruction_mask is None:
                raise ValueError("the Q-Former reads the question with the image: give instruction_ids and their mask")
            seen = self.see(
                pixel_values, instruction_ids, instruction_mask, tile_of_group, wavelengths, band_mask, days
            )
        if expert_tokens is not None:
            if seen is None or sample_of_tile is None or expert_of_sequence is None or sample_of_sequence is None:
                raise ValueError("experts need images, sample_of_tile, expert_of_sequence and sample_of_sequence")
            routed = self.route(seen, sample_of_tile)
            prompts = routed.prompts[sample_of_sequence, expert_of_sequence]
        embeds = self.embed(input_ids, seen, tile_order, prompts, prompt_places)
        hidden = self.decode(
            embeds,
            expert_tokens,
            position_ids=position_ids,
            attention_mask=attention_mask,
            cu_seq_lens_q=cu_seq_lens_q,
            max_length_q=max_length_q,
        )
        loss = logits = None
        if not skip_logits:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.logits(hidden, expert_tokens, kept)
        if labels is not None:
            taught, targets = supervised(labels.to(hidden.device))
            summed = self.token_loss(hidden, taught, targets, expert_tokens)
            if routed is not None and gate_targets is not None:
                summed = summed + nn.functional.nll_loss(routed.log_weights, gate_targets, reduction="sum")
            loss = mean_loss(summed, len(targets), num_items_in_batch)
        return CausalLMOutputWithPast(loss=loss, logits=logits)

    def decode(self, embeds: Tensor, expert_tokens: tuple[int, ...] | None, **kwargs: Any) -> Tensor:
        """Hidden states (B, S, D) of the language model, each expert's tokens through its own adapters or model.

        Args:
            embeds: (B, S, D), the tokens of each expert after those of the one before.
            expert_tokens: how many are of which; None for the language model without experts.
            **kwargs: position_ids, attention_mask, cu_seq_lens_q, max_length_q of the language model.

        Raises:
            ExpertError: experts are asked of the dense network, or more than there are.
        """
        if expert_tokens is not None and len(expert_tokens) != self.config.number_of_experts:
            raise ExpertError(
                f"tokens were dealt out to {len(expert_tokens)} experts; this network has "
                f"{self.config.number_of_experts}"
            )
        if expert_tokens is None or self.dispatch is not None:
            if self.dispatch is not None:
                self.dispatch.tokens = expert_tokens
            hidden: Tensor = self.text_model(inputs_embeds=embeds, use_cache=False, **kwargs).last_hidden_state
            return hidden
        return self._decode_apart(embeds, expert_tokens, **kwargs)

    def _decode_apart(
        self,
        embeds: Tensor,
        expert_tokens: tuple[int, ...],
        position_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        cu_seq_lens_q: Tensor | None = None,
        max_length_q: int | None = None,
    ) -> Tensor:
        """One expert's language model after the other. A pack is cut between tokens, a batch between rows."""
        models: Any = self.expert_models
        packed = cu_seq_lens_q is not None
        dim = 1 if packed else 0
        sizes = list(expert_tokens) if packed else [count // embeds.shape[1] for count in expert_tokens]
        bounds = [0, *torch.tensor(sizes).cumsum(0).tolist()]
        parts = []
        for expert, (start, end) in zip(models, pairwise(bounds), strict=True):
            if start == end:
                continue
            cut: dict[str, Any] = {
                "position_ids": None if position_ids is None else position_ids.narrow(dim, start, end - start),
                "attention_mask": None if attention_mask is None else attention_mask.narrow(0, start, end - start),
            }
            if cu_seq_lens_q is not None:
                inside = (cu_seq_lens_q >= start) & (cu_seq_lens_q <= end)
                cut |= {"cu_seq_lens_q": cu_seq_lens_q[inside] - start, "max_length_q": max_length_q}
            embedded = embeds.narrow(dim, start, end - start)
            parts.append(expert.model(inputs_embeds=embedded, use_cache=False, **cut).last_hidden_state)
        return torch.cat(parts, dim=dim)

    def _head(self, number: int | None) -> Any:
        language: Any = self.language_model if number is None else self.expert_models[number]
        return language.lm_head

    def _apart(self, expert_tokens: tuple[int, ...] | None) -> bool:
        return expert_tokens is not None and self.dispatch is None

    def logits(self, hidden: Tensor, expert_tokens: tuple[int, ...] | None, kept: Any = slice(None)) -> Tensor:
        """(B, S, D) -> (B, tokens kept, rows of the vocabulary)."""
        if not self._apart(expert_tokens):
            logits: Tensor = self._head(None)(hidden[:, kept])
            return logits
        assert expert_tokens is not None
        flat = torch.split(hidden.flatten(0, 1), list(expert_tokens))
        whole = torch.cat([self._head(number)(part) for number, part in enumerate(flat)])
        return whole.view(*hidden.shape[:2], -1)[:, kept]

    def token_loss(
        self, hidden: Tensor, taught: Tensor, targets: Tensor, expert_tokens: tuple[int, ...] | None
    ) -> Tensor:
        """Sum of the losses of the tokens that are `taught` (B, S), whose next ones are `targets` (M,)."""
        if not self._apart(expert_tokens):
            summed: Tensor = self._head(None)(hidden[taught], targets)
            return summed
        assert expert_tokens is not None
        total, done = hidden.new_zeros((), dtype=torch.float32), 0
        cut = [torch.split(x, list(expert_tokens)) for x in (hidden.flatten(0, 1), taught.flatten())]
        for number, (states, learned) in enumerate(zip(*cut, strict=True)):
            count = int(learned.sum())
            total = total + self._head(number)(states[learned], targets[done : done + count])
            done += count
        return total

    def train_parts(self, names: list[str]) -> None:
        """Train the named parts of `PARTS`; freeze the others, in eval mode, so that nothing random is left in them.

        Raises:
            ValueError: a part does not exist in this network.
        """
        there = [part for part in PARTS if self.config.number_of_experts or part not in ("router", "experts")]
        unknown = sorted(set(names) - set(there))
        if unknown or not names:
            raise ValueError(f"cannot train {unknown or 'nothing'}; parts: {', '.join(there)}")
        self.train()
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of(name) in names)
        for part, module in (
            ("vision", self.vision_model),
            ("fusion", self.band_fusion),
            ("qformer", self.qformer),
            ("projector", self.language_projection),
        ):
            module.train(part in names)
        self.language_model.train("language" in names or "experts" in names)

    @property
    def stacked_layers(self) -> list[nn.Module]:
        """The layers of vision encoder, Q-Former and language models: what is sharded, compiled and checkpointed."""
        seeing: list[nn.Module] = [*self.vision_model.encoder.layers, *self.qformer.encoder.layer]
        return seeing + [layer for one in self.text_models for layer in one.layers]

    def step_flops(
        self,
        lengths: Sequence[int],
        groups_of_tiles: Sequence[int],
        head_tokens: int,
        trained: Collection[str],
        lora_rank: int = 0,
    ) -> float:
        """Operations of a training step over some sequences; see `models.rsmoe.flops`."""
        return step_flops(self.config, lengths, groups_of_tiles, head_tokens, trained, lora_rank=lora_rank).total


AutoConfig.register(RsMoeConfig.model_type, RsMoeConfig, exist_ok=True)
AutoModelForImageTextToText.register(RsMoeConfig, RsMoeForConditionalGeneration, exist_ok=True)
