"""Configuration of EarthDial: InternVL's, and how band groups are fused."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import InternVLConfig


@strict
class EarthDialConfig(InternVLConfig):  # type: ignore[no-untyped-call]
    """InternVL's configuration with `fusion` (of `models.parts.fusion.KINDS`) and the heads it attends with, the layer
    of the vision encoder after which groups are fused (None: the last, as in the paper), the most tiles of a sample's
    images, the classes whose cover is read from each visual token (none in the paper), the form in which it writes
    boxes ("internvl" or "earthdial"), and the layout of its chats (of `models.parts.prompt.LAYOUTS`).
    """

    model_type = "earthdial"

    fusion: str = "attention"
    fusion_heads: int = 16
    fusion_layer: int | None = None
    cover_classes: list[str] | None = None
    max_tiles: int = 6
    box_form: str = "internvl"
    chat_layout: str = "phi3"
    tie_word_embeddings: bool = False

    @property
    def layers_before_fusion(self) -> int:
        """Layers of the vision encoder that see each group by itself; the others see fused tiles."""
        vision: Any = self.vision_config
        layers = int(vision.num_hidden_layers)
        return layers if self.fusion_layer is None else min(self.fusion_layer, layers)

    @property
    def image_size(self) -> int:
        """Side of a tile in pixels."""
        vision: Any = self.vision_config
        return int(vision.image_size[0])

    @property
    def patches_per_tile(self) -> int:
        """Patches of one tile, without the class token."""
        vision: Any = self.vision_config
        return int(self.image_size // vision.patch_size[0]) ** 2

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile, after the pixel shuffle."""
        return round(self.patches_per_tile * self.downsample_ratio**2)

    @property
    def end_token_id(self) -> int:
        """Id of the token that ends an answer."""
        text: Any = self.text_config
        return int(text.eos_token_id)

    @property
    def filler_token_id(self) -> int:
        """Id of the token that fills short sequences up."""
        text: Any = self.text_config
        return int(text.pad_token_id)
