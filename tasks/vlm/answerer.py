"""A trained checkpoint that answers questions about images: load, ask, decode."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.earthdial.generate import stream
from models.earthdial.model import EarthDialForConditionalGeneration
from models.parts.prompt import CONTROL_TOKENS, SYSTEM, PromptError, encode, render
from tasks.core.errors import MissingInputError, TrainingError
from tasks.core.stage import read_json
from tasks.vlm.images import NORMALISATION_FILE, Image, Normalisation, Tiles, batch_images
from tasks.vlm.samples import tile_share

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


class TooLongError(TrainingError):
    """A question that leaves no room for its answer."""


@dataclass(frozen=True)
class Question:
    """What is asked: the turns, with tags and `<image>`, the last answer empty, and an image for each
    `<image>`.
    """

    images: tuple[Tiles, ...]
    turns: tuple[tuple[str, str], ...]
    system: str = SYSTEM

    @property
    def prompt(self) -> str:
        """The text that is shown, images as `<image>`."""
        return render(self.turns, self.system)


class Answerer:
    """A model with its tokenizer and its normalisation, all from one checkpoint's folder."""

    def __init__(self, checkpoint: Path, device: str = "cpu", max_tiles: int | None = None) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: folder of weights, tokenizer and statistics.
            device: cpu or cuda.
            max_tiles: most tiles of a question's images; None for what the model was trained with.

        Raises:
            EarthloomError: the folder is not a checkpoint, or lacks a part of one.
        """
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        # What does not fit is an error of ours, with its names.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        check_checkpoint(checkpoint)
        self.tokenizer = load_tokenizer(checkpoint)
        self.normalise = Normalisation.load(checkpoint)
        self.model = load_model(checkpoint)
        self.model.to(torch.device(device))  # type: ignore[arg-type]
        self.model.eval()  # type: ignore[no-untyped-call]
        self.image_size = self.model.config.image_size
        self.max_tiles = max_tiles or self.model.config.max_tiles
        self.box_form = self.model.config.box_form

    def tiles(self, images: Sequence[Image]) -> list[Tiles]:
        """The images of one question, cut into tiles as in training: several images share the room of one."""
        share = tile_share(self.max_tiles, len(images))
        return [image.tiled(self.image_size, share) for image in images]

    @property
    def context(self) -> int:
        """Most tokens that a question and its answer may have together."""
        text: Any = self.model.config.text_config
        return int(text.max_position_embeddings)

    def encode(self, question: Question) -> list[int]:
        """Token ids of the prompt.

        Raises:
            TrainingError: the images and the `<image>` in the text differ in number.
        """
        counts = [image.count * self.model.config.tokens_per_tile for image in question.images]
        try:
            return encode(self.tokenizer, question.turns, counts, question.system).ids
        except PromptError as error:
            raise TrainingError(f"the question {question.turns[-1][0]!r} cannot be asked: {error}") from error

    def inputs(self, question: Question, max_new_tokens: int) -> dict[str, Tensor]:
        """What the model's `generate` takes for one question, on its device.

        Raises:
            TrainingError: images and `<image>` differ in number.
            TooLongError: the question leaves no room for its answer.
        """
        ids = self.encode(question)
        if len(ids) + max_new_tokens > self.context:
            raise TooLongError(
                f"the question has {len(ids)} tokens with its images and the turns before it, and its answer may have "
                f"{max_new_tokens}; the model takes {self.context} together. Ask for a shorter answer, begin a new "
                "conversation or show fewer images"
            )
        prompt = torch.tensor([ids])
        tensors = {"input_ids": prompt, "attention_mask": torch.ones_like(prompt)}
        if question.images:
            tensors |= batch_images(question.images)
        return {name: tensor.to(self.model.device) for name, tensor in tensors.items()}

    def stream(self, question: Question, max_new_tokens: int) -> Iterator[str]:
        """The answer as it is generated, by greedy decoding.

        Raises:
            TrainingError: the question cannot be asked as it stands.
        """
        yield from stream(self.model, self.tokenizer, self.inputs(question, max_new_tokens), max_new_tokens)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()


def check_checkpoint(folder: Path) -> None:
    """Refuse what is not a checkpoint's folder, with what is missing.

    Raises:
        MissingInputError: there is no folder, or it holds no weights.
        TrainingError: it holds weights that are not safetensors, or no statistics or tokenizer beside them.
    """
    if not folder.is_dir():
        raise MissingInputError(
            f"{folder} is not a folder with a model; `earthloom demo` trains one in data/train/3, and "
            "`earthloom weights import` brings published ones"
        )
    if not any((folder / name).is_file() for name in WEIGHTS):
        pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
        if pickles:
            raise TrainingError(
                f"{folder} holds {', '.join(pickles)}: weights as pickles can run code when they are opened, so they "
                "are not. Ask whoever made them for safetensors"
            )
        raise MissingInputError(
            f"{folder} holds no {' or '.join(WEIGHTS)}; `earthloom demo` trains a model in data/train/3"
        )
    missing = [name for name in ("config.json", "tokenizer.json", NORMALISATION_FILE) if not (folder / name).is_file()]
    if missing:
        raise TrainingError(
            f"{folder} holds weights but no {', '.join(missing)}, without which they cannot be used: a checkpoint is "
            "the whole folder that a training stage wrote"
        )
    model_type = read_json(folder / "config.json").get("model_type")
    if model_type != "earthdial":
        raise TrainingError(
            f"{folder}/config.json is of '{model_type}', not of earthdial; `earthloom weights import` converts "
            "published weights"
        )


def load_model(folder: Path) -> EarthDialForConditionalGeneration:
    """The network of a checkpoint, every one of its weights.

    Raises:
        TrainingError: a weight is missing, unknown or of another shape; each is named.
    """
    network: Any = EarthDialForConditionalGeneration  # its `from_pretrained` is typed without what it loaded
    loaded, report = network.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    wrong = {
        "missing": report["missing_keys"],
        "unknown": report["unexpected_keys"],
        "mis-shaped": report["mismatched_keys"],
    }
    named = "; ".join(f"{kind}: {', '.join(sorted(map(str, keys)))}" for kind, keys in wrong.items() if keys)
    if named:
        raise TrainingError(
            f"the weights in {folder} are not those of its config.json ({named}); train it again with this version, or "
            "import it with `earthloom weights import`"
        )
    model: EarthDialForConditionalGeneration = loaded
    return model


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint, set so that boxes and tags stay in a decoded answer.

    Published tokenizers hold all added tokens for special, which decoding leaves out, and with them every box
    (spec of EarthDial, section 1.4). Ids do not change.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder)
    layout = json.loads(tokenizer.backend_tokenizer.to_str())
    kept = [token for token in layout["added_tokens"] if token["special"] and not _controls(token["content"])]
    if kept:
        for token in kept:
            token["special"] = False
        tokenizer._tokenizer = Tokenizer.from_str(json.dumps(layout))
    return tokenizer


def _controls(token: str) -> bool:
    """Whether a token steers the model; `<box>` and a sensor's tag do not, `<|end|>` and `<unk>` do."""
    return token in CONTROL_TOKENS or token.startswith("<|") or token in ("<s>", "</s>", "<unk>", "<pad>")
