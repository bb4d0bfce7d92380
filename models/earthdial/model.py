"""EarthDial for generation: InternVL's vision tower, projector and Phi-3, with band groups fused in between.

The encoder runs in the batch, on the accelerator, with gradient where it is trained: EarthDial's code ran it
inside the data loader without one (spec, section 1.6). A batch may mix RGB, multispectral and radar images, and
several dates.

Shapes:  N groups, T tiles, B sequences, S tokens; a tile of an RGB image is one group
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    GenerationConfig,
    InternVLForConditionalGeneration,
)
from transformers.models.internvl.modeling_internvl import (
    InternVLCausalLMOutputWithPast,
    InternVLModel,
    InternVLModelOutputWithPast,
    InternVLPreTrainedModel,
    InternVLVisionModelOutputWithPooling,
)

from models.earthdial.config import EarthDialConfig
from models.earthdial.flops import step_flops
from models.parts.band_groups import Groups, prepare_groups
from models.parts.cover import CoverHead
from models.parts.fusion import BandGroupFusion, ZeroLinear
from models.parts.head import LanguageHead, mean_loss, supervised

COVER_HEAD = "cover_head"
"""Only there where the configuration names classes; no part of what answers."""
PARTS = {
    "vision": ("model.vision_tower",),
    "fusion": ("model.band_fusion",),
    "projector": ("model.multi_modal_projector",),
    "language": ("model.language_model", "lm_head"),
}
"""The parts that a training stage can train or freeze, by the names of their modules."""


class EarthDialModel(InternVLModel):  # type: ignore[no-untyped-call]
    """InternVL without the head, whose images may have any number of bands."""

    config: EarthDialConfig

    def __init__(self, config: EarthDialConfig) -> None:
        super().__init__(config)
        vision: Any = config.vision_config
        if config.fusion == "mosaic" and config.fusion_layer is not None:
            raise ValueError(
                "fusion 'mosaic' lays out what the whole encoder gives: fusion_layer must be null, or fusion another"
            )
        self.band_fusion = BandGroupFusion(vision.hidden_size, config.fusion_heads, config.fusion)
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)  # type: ignore[no-untyped-call]
        if isinstance(module, ZeroLinear):
            module.reset_parameters()

    def get_image_features(
        self,
        pixel_values: Tensor,
        tile_of_group: Tensor | None = None,
        wavelengths: Tensor | None = None,
        band_mask: Tensor | None = None,
        days: Tensor | None = None,
        **_: Any,
    ) -> InternVLVisionModelOutputWithPooling:
        """Visual tokens of every tile, as `pooler_output` (T, tokens per tile, width of the language model);
        `last_hidden_state` (T, patches, channels) is what the projector is given: the fused tiles.

        Args:
            pixel_values: normalised; (T, bands, H, W), the true-colour bands first, all tiles with the same
                bands; or with `tile_of_group` (N, 3, H, W), the groups of three bands of all tiles. All groups
                go through the encoder in one call.
            tile_of_group: (N,) index of each group's tile, rising from 0; a tile's first group comes first.
            wavelengths: (N, 3) centre wavelengths in micrometres, NaN where unknown.
            band_mask: (N, 3) True where a channel holds a band; what stands in the others has no influence.
            days: (N,) days since the first date of the tile.

        Raises:
            ValueError: groups are described but not said to which tile they belong, or the shapes disagree.
        """
        repeat = self.config.fusion == "mosaic"
        groups = prepare_groups(pixel_values, tile_of_group, wavelengths, band_mask, days, repeat)
        tiles = self._encode(groups)
        T, P, C = tiles.shape
        side = round(P**0.5)
        shuffled = self.pixel_shuffle(tiles.reshape(T, side, side, C), scale_factor=self.config.downsample_ratio)
        tokens = self.multi_modal_projector(shuffled.reshape(T, -1, shuffled.shape[-1]))
        return InternVLVisionModelOutputWithPooling(last_hidden_state=tiles, pooler_output=tokens)

    def _encode(self, groups: Groups) -> Tensor:
        """The groups of all tiles -> fused tiles (T, P, C), the class token gone.

        Where groups are fused after an early layer, those that follow work on one image a tile whatever its bands: a
        tile of 12 bands then costs little more than one in true colour.
        """
        described = (groups.tile, groups.wavelengths, groups.band_mask, groups.days)
        if self.config.fusion_layer is None:
            encoded = self.vision_tower(pixel_values=groups.pixels.to(self.dtype)).last_hidden_state[:, 1:]
            fused: Tensor = self.band_fusion(encoded, *described)
            return fused
        tower: Any = self.vision_tower
        hidden = tower.embeddings(groups.pixels.to(self.dtype))
        before = self.config.layers_before_fusion
        for layer in tower.encoder.layer[:before]:
            hidden = layer(hidden)
        # The class token is a place like any other: the layers that follow attend to it.
        hidden = self.band_fusion(hidden, *described)
        for layer in tower.encoder.layer[before:]:
            hidden = layer(hidden)
        normed: Tensor = tower.layernorm(hidden)
        return normed[:, 1:]

    def forward(
        self,
        input_ids: Tensor | None = None,
        *,
        inputs_embeds: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> InternVLModelOutputWithPast:
        """Hidden states of the language model over text and visual tokens.

        InternVL's own takes `mm_encoder_outputs` from transformers 5.23 on only, and its `pixel_values` alone could
        not say to which tile a group belongs.

        Args:
            input_ids: (B, S); the tokens, or `inputs_embeds` where there is no image.
            inputs_embeds: (B, S, width of the language model).
            mm_encoder_outputs: {"image": what `get_image_features` gives}; None without images.
            **kwargs: of the language model.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds` are given, or the text has another number
                of places than there are visual tokens.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if inputs_embeds is None:
            embed: Any = self.get_input_embeddings()
            inputs_embeds = embed(input_ids)
        image_features: Tensor | None = None
        if mm_encoder_outputs and mm_encoder_outputs.get("image") is not None:
            image_features = mm_encoder_outputs["image"].pooler_output.to(inputs_embeds.device, inputs_embeds.dtype)
            places = self.get_placeholder_mask(input_ids, inputs_embeds=inputs_embeds, image_features=image_features)
            inputs_embeds = inputs_embeds.masked_scatter(places, image_features)
        outputs = self.language_model(inputs_embeds=inputs_embeds, **kwargs)
        return InternVLModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
        )

    def get_placeholder_mask(self, input_ids: Tensor | None, inputs_embeds: Tensor, image_features: Tensor) -> Tensor:
        """(B, S, 1), True where a visual token goes.

        Raises:
            ValueError: the text has another number of places than there are visual tokens.
        """
        if input_ids is None:
            raise ValueError("images need input_ids, which say where their tokens go; inputs_embeds do not")
        mask: Tensor = input_ids == self.config.image_token_id
        places, tokens = int(mask.sum()), image_features.shape[0] * image_features.shape[1]
        if places != tokens:
            raise ValueError(
                f"{places} <IMG_CONTEXT> in input_ids do not match {tokens} visual tokens "
                f"({image_features.shape[0]} tiles of {image_features.shape[1]})"
            )
        return mask[..., None]


@dataclass
class EarthDialOutput(InternVLCausalLMOutputWithPast):
    """InternVL's, and the loss of the cover that each visual token was asked for; None where none was."""

    cover_loss: Tensor | None = None


class EarthDialForConditionalGeneration(InternVLForConditionalGeneration):  # type: ignore[no-untyped-call]
    """The whole network. `from_pretrained` and `save_pretrained` are those of transformers."""

    config: EarthDialConfig
    config_class = EarthDialConfig
    _keys_to_ignore_on_load_unexpected = [COVER_HEAD]  # noqa: RUF012  (of a checkpoint whose cover is no longer asked for)
    _tied_weights_keys: dict[str, str] = {}  # noqa: RUF012  (the head is a matrix of its own, as in Phi-3)

    def __init__(self, config: EarthDialConfig) -> None:
        InternVLPreTrainedModel.__init__(self, config)
        self.model = EarthDialModel(config)
        text: Any = config.text_config
        self.lm_head = LanguageHead(text.hidden_size, text.vocab_size)
        if config.cover_classes:
            self.cover_head = CoverHead(text.hidden_size, len(config.cover_classes))
        self.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def set_output_embeddings(self, new_embeddings: nn.Linear) -> None:
        """Take the weight of another head, such as the longer one that `resize_token_embeddings` makes."""
        if not isinstance(new_embeddings, LanguageHead):
            head = LanguageHead(new_embeddings.in_features, new_embeddings.out_features)
            head.weight = new_embeddings.weight
            new_embeddings = head
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tile_of_group: Tensor | None = None,
        wavelengths: Tensor | None = None,
        band_mask: Tensor | None = None,
        days: Tensor | None = None,
        *,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        skip_logits: bool = False,
        cover: Tensor | None = None,
        cover_tiles: int | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> EarthDialOutput:
        """Logits, and the loss if `labels` are given.

        Samples packed into one sequence, whose `position_ids` begin at 0 anew and which has no `attention_mask`,
        do not see each other.

        Args:
            input_ids: (B, S) tokens, `<IMG_CONTEXT>` where a visual token goes; tiles fill them in order.
            pixel_values: (T, bands, H, W), or (N, 3, H, W); see `EarthDialModel.get_image_features`.
            tile_of_group: (N,).
            wavelengths: (N, 3).
            band_mask: (N, 3).
            days: (N,).
            attention_mask: (B, S) 1 where there is a token.
            position_ids: (B, S).
            past_key_values: cache of generation.
            labels: (B, S), the token itself where a loss is taken on it, -100 elsewhere.
            num_items_in_batch: what the sum of the losses is divided by; the tokens learned here if None.
            skip_logits: take the loss in chunks, without ever holding all logits; `.logits` is None then.
            cover: (T, tokens per tile, classes) share of the ground under each visual token that each of
                `config.cover_classes` covers, NaN where it is not known.
            cover_tiles: what the sum of the tiles' cover losses is divided by; the tiles here if None.
            mm_encoder_outputs: {"image": features} where they are known already, as in generation.
            logits_to_keep: as in transformers: only the last so many, 0 for all.
            **kwargs: the rest of InternVL's.

        Raises:
            ValueError: tokens and tiles do not match in number, no label is a token to learn, `skip_logits` without
                `labels`, or `logits_to_keep` with them.
        """
        if skip_logits and labels is None:
            raise ValueError("skip_logits leaves only the loss, and that needs labels")
        if labels is not None and not (isinstance(logits_to_keep, int) and logits_to_keep == 0):
            raise ValueError("a loss is taken on all labels: logits_to_keep goes without labels")
        if pixel_values is not None:
            features = self.model.get_image_features(pixel_values, tile_of_group, wavelengths, band_mask, days)
            mm_encoder_outputs = {**(mm_encoder_outputs or {}), "image": features}
        if labels is not None or (position_ids is not None and attention_mask is None and past_key_values is None):
            # With a cache, transformers does not look for packed samples, and they would see each other.
            kwargs["use_cache"] = False
        if not mm_encoder_outputs and past_key_values is None:
            self._refuse_unfilled_placeholders(input_ids)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        loss = logits = None
        if not skip_logits:
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.lm_head(hidden[:, kept])
        if labels is not None:
            taught, targets = supervised(labels.to(hidden.device))
            if logits is None:
                summed = self.lm_head(hidden[taught], targets)
            else:
                summed = nn.functional.cross_entropy(logits[taught].float(), targets, reduction="sum")
            loss = mean_loss(summed, len(targets), num_items_in_batch)
        cover_loss = None
        if cover is not None:
            if not self.config.cover_classes:
                raise ValueError("cover is given, but config.cover_classes names no class")
            cover_loss = self.cover_head(outputs.image_hidden_states, cover) / (cover_tiles or len(cover))
        return EarthDialOutput(
            loss=loss,
            cover_loss=cover_loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
        )

    def _refuse_unfilled_placeholders(self, input_ids: Tensor | None) -> None:
        """Without an image, no `<IMG_CONTEXT>` may wait for one: its embedding means nothing."""
        if input_ids is not None and (places := int((input_ids == self.config.image_token_id).sum())):
            raise ValueError(f"{places} <IMG_CONTEXT> in input_ids do not match 0 visual tokens: no image was given")

    def learn_cover_of(self, classes: Sequence[str]) -> None:
        """Add classes to those whose cover is read from each visual token; what is known of the others stays."""
        known = self.config.cover_classes or []
        new = [name for name in classes if name not in known]
        if not new:
            return
        text: Any = self.config.text_config
        head = CoverHead(text.hidden_size, len(known) + len(new))
        if known:
            with torch.no_grad():
                head.weight[: len(known)] = self.cover_head.weight
                head.bias[: len(known)] = self.cover_head.bias
        self.cover_head = head.to(self.device, self.dtype)
        self.config.cover_classes = [*known, *new]

    @property
    def text_models(self) -> list[Any]:
        """The language model without its head; a list, since other networks have several."""
        return [self.model.language_model]

    @property
    def stacked_layers(self) -> list[nn.Module]:
        """The layers of vision encoder and language model: what is sharded, compiled and checkpointed."""
        inner: Any = self.model
        return [*inner.vision_tower.encoder.layer, *inner.language_model.layers]

    def step_flops(
        self,
        lengths: Sequence[int],
        groups_of_tiles: Sequence[int],
        head_tokens: int,
        trained: Collection[str],
        lora_rank: int = 0,
    ) -> float:
        """Operations of a training step over some samples; see `models.earthdial.flops`."""
        return step_flops(self.config, lengths, groups_of_tiles, head_tokens, trained, lora_rank=lora_rank).total

    def train_parts(self, names: list[str]) -> None:
        """Train the named parts of `PARTS`; freeze the others, in eval mode, so that nothing random is left
        in them.

        Raises:
            ValueError: a part does not exist.
        """
        unknown = sorted(set(names) - set(PARTS))
        if unknown or not names:
            raise ValueError(f"cannot train {unknown or 'nothing'}; parts: {', '.join(PARTS)}")
        self.train()
        for part, modules in PARTS.items():
            for module in map(self.get_submodule, modules):
                for parameter in module.parameters():
                    # Whole numbers, as those of a matrix that is held in few bits, have no gradient.
                    parameter.requires_grad_(part in names and parameter.is_floating_point())
                module.train(part in names)
        if self.config.cover_classes:
            # It reads what the projector writes, and is trained with it.
            self.cover_head.requires_grad_("projector" in names)


AutoConfig.register(EarthDialConfig.model_type, EarthDialConfig, exist_ok=True)
AutoModel.register(EarthDialConfig, EarthDialModel, exist_ok=True)
AutoModelForImageTextToText.register(EarthDialConfig, EarthDialForConditionalGeneration, exist_ok=True)
