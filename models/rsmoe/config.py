"""Configuration of RS-MoE: InstructBLIP's, its experts and its router, and how band groups are fused."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import InstructBlipConfig

from models.rsmoe.prompt import ExpertError

REALISATIONS = ("shared", "separate")
ROUTERS = ("trained", "fixed", "generative")
"""trained: templates, fitted to image and question by what was learned; fixed: templates as they are, all experts of
equal weight; generative: the language model without experts writes the prompts (readings A + C, A and B of the
spec, section 1.2)."""


@strict
class RsMoeConfig(InstructBlipConfig):  # type: ignore[no-untyped-call]
    """InstructBLIP's configuration with the experts.

    `experts` are their names and `templates` their prompts; without any, the network is the dense one of stage 1.
    `realisation` says whether they share one language model, each with an adapter of `lora_rank`, or have one each.
    `prompt_tokens` of each template are what the router changes. `instruction_length` is the most tokens of a question
    that the Q-Former reads. `fusion`, `fusion_heads`, `max_tiles` and `box_form` are as in EarthDial's configuration.
    """

    model_type = "rsmoe"

    experts: list[str] | None = None
    templates: list[str] | None = None
    realisation: str = "shared"
    router: str = "trained"
    prompt_tokens: int = 8
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    lora_targets: list[str] | None = None
    instruction_length: int = 128
    fusion: str = "attention"
    fusion_heads: int = 16
    max_tiles: int = 1
    box_form: str = "internvl"

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what is not given, and refuse experts that do not fit together.

        Raises:
            ExpertError: experts and templates differ in number, a name stands twice, a template is empty, a realisation
                or router is unknown, or the image token is beyond the vocabulary.
        """
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]
        self.experts = list(self.experts or [])
        self.templates = list(self.templates or [])
        self.lora_targets = list(self.lora_targets or ("q_proj", "v_proj", "gate_proj", "up_proj", "down_proj"))
        if len(self.experts) != len(self.templates):
            raise ExpertError(f"{len(self.experts)} experts are named, but {len(self.templates)} templates are given")
        if len(set(self.experts)) != len(self.experts):
            raise ExpertError(f"each expert once; got {', '.join(self.experts)}")
        empty = [name for name, text in zip(self.experts, self.templates, strict=True) if not text.strip()]
        if empty:
            raise ExpertError(
                f"the prompt of expert {', '.join(empty)} is empty: an expert must be asked for something"
            )
        for field, allowed in (("realisation", REALISATIONS), ("router", ROUTERS)):
            if getattr(self, field) not in allowed:
                raise ExpertError(f"{field} is {getattr(self, field)!r}; allowed: {', '.join(allowed)}")
        text: Any = self.text_config
        if self.image_token_index is not None and self.image_token_index >= text.vocab_size:
            raise ExpertError(
                f"the image token is number {self.image_token_index}, but the vocabulary has {text.vocab_size} rows: "
                "the tokenizer is that of another network"
            )

    def expert(self, name: str) -> int:
        """Number of an expert.

        Raises:
            ExpertError: there is none of that name.
        """
        names = self.experts or []
        if name not in names:
            raise ExpertError(f"there is no expert {name!r}; this network has {', '.join(names) or 'none'}")
        return names.index(name)

    @property
    def number_of_experts(self) -> int:
        """0 for the dense network."""
        return len(self.experts or [])

    @property
    def image_size(self) -> int:
        """Side of a tile in pixels."""
        vision: Any = self.vision_config
        side = vision.image_size
        return int(side if isinstance(side, int) else side[0])

    @property
    def patches_per_tile(self) -> int:
        """Patches of one tile, without the class token."""
        vision: Any = self.vision_config
        return int(self.image_size // vision.patch_size) ** 2

    @property
    def tokens_per_tile(self) -> int:
        """Visual tokens of one tile: the queries of the Q-Former."""
        return self.num_query_tokens

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
