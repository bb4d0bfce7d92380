"""EarthDial for generation: InternVL's vision tower, projector and Phi-3, with band groups fused in between.

The encoder runs in the batch, on the accelerator, with gradient where it is trained: EarthDial's code ran it
inside the data loader without one (spec, section 1.6). A batch may mix RGB, multispectral and radar images.

Shapes:  N groups, T tiles, B sequences, L tokens; a tile of an RGB image is one group
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import GenerationConfig, InternVLForConditionalGeneration
from transformers.models.internvl.modeling_internvl import (
    InternVLModel,
    InternVLPreTrainedModel,
    InternVLVisionModelOutputWithPooling,
)

from models.earthdial.config import EarthDialConfig
from models.earthdial.fusion import BandGroupFusion, ZeroLinear

GROUP_INPUTS = ("tile_of_group", "wavelengths", "band_mask")
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
        **_: Any,
    ) -> InternVLVisionModelOutputWithPooling:
        """Visual tokens of every tile, as `pooler_output` (T, tokens per tile, width of the language model).

        Args:
            pixel_values: (N, 3, H, W) normalised groups of three bands, padding zero. All go through the
                encoder in one call.
            tile_of_group: (N,) index of each group's tile; without it every group is a tile of its own, as in
                RGB.
            wavelengths: (N, 3) centre wavelengths in micrometres.
            band_mask: (N, 3) True where a channel holds a band.

        Raises:
            ValueError: only some of the three descriptions of the groups are given.
        """
        given = [x is not None for x in (tile_of_group, wavelengths, band_mask)]
        if any(given) and not all(given):
            raise ValueError(f"give all of {', '.join(GROUP_INPUTS)}, or none for RGB tiles")
        encoded = self.vision_tower(pixel_values=pixel_values.to(self.dtype)).last_hidden_state[:, 1:]
        tiles = encoded
        if tile_of_group is not None and wavelengths is not None and band_mask is not None:
            tiles = self.band_fusion(encoded, tile_of_group, wavelengths, band_mask)
        T, P, C = tiles.shape
        side = round(P**0.5)
        shuffled = self.pixel_shuffle(tiles.reshape(T, side, side, C), scale_factor=self.config.downsample_ratio)
        tokens = self.multi_modal_projector(shuffled.reshape(T, -1, shuffled.shape[-1]))
        return InternVLVisionModelOutputWithPooling(last_hidden_state=encoded, pooler_output=tokens)


class EarthDialForConditionalGeneration(InternVLForConditionalGeneration):  # type: ignore[no-untyped-call]
    """The whole network. `from_pretrained` and `save_pretrained` are those of transformers."""

    config: EarthDialConfig
    config_class = EarthDialConfig
    _tied_weights_keys: dict[str, str] = {}  # noqa: RUF012  (the head is a matrix of its own, as in Phi-3)

    def __init__(self, config: EarthDialConfig) -> None:
        InternVLPreTrainedModel.__init__(self, config)
        self.model = EarthDialModel(config)
        text: Any = config.text_config
        self.lm_head = nn.Linear(text.hidden_size, text.vocab_size, bias=False)
        self.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id
        )
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        tile_of_group: Tensor | None = None,
        wavelengths: Tensor | None = None,
        band_mask: Tensor | None = None,
        mm_encoder_outputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Logits, and the loss if `labels` are given.

        Args:
            input_ids: (B, L) tokens, `<IMG_CONTEXT>` where a visual token goes; tiles fill them in order.
            pixel_values: (N, 3, H, W), see `EarthDialModel.get_image_features`.
            tile_of_group: (N,).
            wavelengths: (N, 3).
            band_mask: (N, 3).
            mm_encoder_outputs: {"image": features} where they are known already, as in generation.
            **kwargs: attention_mask, position_ids, labels, past_key_values and the rest of InternVL's.

        Raises:
            ValueError: tokens and tiles do not match in number.
        """
        if pixel_values is not None:
            features = self.model.get_image_features(pixel_values, tile_of_group, wavelengths, band_mask)
            mm_encoder_outputs = {**(mm_encoder_outputs or {}), "image": features}
        return super().forward(input_ids=input_ids, mm_encoder_outputs=mm_encoder_outputs, **kwargs)

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
                module.requires_grad_(part in names)
                module.train(part in names)
