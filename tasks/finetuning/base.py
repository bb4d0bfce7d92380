"""What a fine-tuning starts from: a checkpoint, or an adapter of one that learns on."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tasks.core.errors import TrainingError
from tasks.core.stage import checkpoint_hash, read_json
from tasks.training.finetune_params import FinetuneLoraParams, FinetuneParams
from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE, check_checkpoint
from tasks.vlm.earthdial_network import EarthDialNetwork
from tasks.vlm.images import Normalisation
from tasks.vlm.loading import ADAPTER_CONFIG, FINETUNE_RECORD, Dtype, LoadIn, Loading, options_of, read_adapter
from tasks.vlm.network import load_weights

if TYPE_CHECKING:
    from models.earthdial.model import EarthDialForConditionalGeneration

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Base:
    """A checkpoint and, where an adapter learns on, that adapter."""

    folder: Path
    adapter: Path | None
    hash: str

    @property
    def normalise(self) -> Normalisation:
        """The statistics it was trained with."""
        own = self.adapter is not None and (self.adapter / NORMALISATION_FILE).is_file()
        return Normalisation.load(self.adapter if self.adapter is not None and own else self.folder)

    def model(
        self, dtype: Dtype, load_in: LoadIn | None, device: str, seed: int
    ) -> "EarthDialForConditionalGeneration":
        """The network without adapters, its frozen weights in `dtype` or in few bits; `seed` is of fresh adapters.

        Raises:
            TrainingError: its weights do not fit, are not finite, or cannot be loaded so.
        """
        options = options_of(Loading(dtype, load_in), device)
        network: EarthDialForConditionalGeneration = load_weights(EarthDialNetwork.kind, self.folder, options)
        module: Any
        for module in network.modules():
            # bitsandbytes 0.50 packs a 4-bit matrix for inference in the first forward pass in eval mode on some CPUs,
            # and from then on no gradient goes through it: the validation loss before the first step would do that.
            if hasattr(module, "support_avx512bf16_for_cpu"):
                module.support_avx512bf16_for_cpu = False
        torch.manual_seed(seed)
        return network

    def tokens(self, tokenizer: Any, tags: Sequence[str]) -> tuple[int, ...]:
        """Ids of the tags that the tokenizer knows as one token each; the others are read as text, and are named."""
        known = {tag: tokenizer.encode(tag, add_special_tokens=False) for tag in tags}
        as_text = [tag for tag, ids in known.items() if len(ids) > 1]
        if as_text:
            logger.warning(
                "%s knows no tokens %s: they are read as text, and have no embeddings of their own to train",
                self.folder,
                ", ".join(as_text),
            )
        return tuple(sorted(ids[0] for tag, ids in known.items() if len(ids) == 1))


def find_base(source: Path) -> Base:
    """A folder that is named as `--from`.

    Raises:
        EarthloomError: it is neither a checkpoint nor an adapter, or a network that has no adapters here.
    """
    folder, adapter = source, None
    if (source / ADAPTER_CONFIG).is_file():
        adapter, named = source, read_adapter(source).get("base_model_name_or_path")
        if not named or not Path(named).is_dir():
            raise TrainingError(
                f"{source} is an adapter of {named or 'a base that it does not name'}, which is not there; run from "
                "where that path leads to it, or write it into base_model_name_or_path of its adapter_config.json"
            )
        folder = Path(named)
    if check_checkpoint(folder) != "earthdial":
        raise TrainingError(
            f"{folder} is of RS-MoE, whose experts are adapters already; fine-tuning takes checkpoints of EarthDial, "
            "and InternVL's as `earthloom weights import` makes them"
        )
    base = Base(folder, adapter, checkpoint_hash(folder))
    if adapter is not None and (adapter / FINETUNE_RECORD).is_file():
        trained_on = read_json(adapter / FINETUNE_RECORD)["base"]["hash"]
        if trained_on != base.hash:
            raise TrainingError(f"{source} was trained on other weights than {folder} holds now")
    return base


def tokenizer_of(base: Base) -> Any:
    """The base's tokenizer, as it is: an adapter fits no other vocabulary.

    Raises:
        TrainingError: it lacks a token that the chat layout is made of.
    """
    from models.earthdial.config import EarthDialConfig
    from models.parts.prompt import layout_of

    tokenizer = load_tokenizer(base.folder)
    control = layout_of(EarthDialConfig.from_pretrained(base.folder)).control
    lacking = [token for token in control if len(tokenizer.encode(token, add_special_tokens=False)) != 1]
    if lacking:
        raise TrainingError(
            f"the tokenizer of {base.folder} has no token {', '.join(lacking)}, which a prompt is made of"
        )
    return tokenizer


def continued(base: Base, params: FinetuneParams) -> tuple[FinetuneParams, tuple[int, ...] | None]:
    """The parameters of an adapter that learns on, which are its own; and the tokens it trains, None without one.

    Raises:
        TrainingError: its places are not those of an adapter made here.
    """
    from tasks.training.lora import EARTHDIAL, EMBEDDINGS

    if base.adapter is None:
        return params, None
    config = read_adapter(base.adapter)
    pattern = config["target_modules"]
    targets = [part for part, one in EARTHDIAL.items() if isinstance(pattern, str) and f"({one})" in pattern]
    if not targets or "|".join(f"({EARTHDIAL[part]})" for part in targets) != pattern:
        raise TrainingError(
            f"{base.adapter} has adapters in places that are not among those of finetune.lora.targets, so it cannot "
            "learn on here; add it to its base (`earthloom weights merge`) and start from that"
        )
    own = {"rank": config["r"], "alpha": config["lora_alpha"], "dropout": config["lora_dropout"], "targets": targets}
    tokens = tuple((config.get("trainable_token_indices") or {}).get(EMBEDDINGS, ()))
    lora = FinetuneLoraParams(**own, tag_embeddings=bool(tokens))
    if lora != params.lora:
        logger.info("going on with the adapter's own %s in place of finetune.lora", re.sub(r"\s+", " ", str(lora)))
    return params.model_copy(update={"lora": lora}), tokens
