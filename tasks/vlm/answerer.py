"""A trained checkpoint that answers questions about images: load, ask, decode."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.parts.image import Image, Tiles, batch_images
from models.parts.prompt import CONTROL_TOKENS, SYSTEM, PromptError, render
from tasks.core.errors import TrainingError
from tasks.vlm.checkpoint_folder import NORMALISATION_FILE, check_checkpoint
from tasks.vlm.earthdial_network import EarthDialNetwork
from tasks.vlm.images import Normalisation
from tasks.vlm.limits import Limits
from tasks.vlm.loading import Loading
from tasks.vlm.network import Ask, Network, Prompt
from tasks.vlm.rsmoe_network import RsMoeNetwork
from tasks.vlm.samples import tile_share
from tasks.vlm.true_colour import TrueColour

NETWORKS: Mapping[str, type[Network]] = {"earthdial": EarthDialNetwork, "rsmoe": RsMoeNetwork}
"""The kinds of network that can be asked, by `model_type` of their config.json; those of `checkpoint_folder.KINDS`."""


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

    def __init__(
        self, checkpoint: Path, device: str = "cpu", max_tiles: int | None = None, loading: Loading | None = None
    ) -> None:
        """Load a checkpoint.

        Args:
            checkpoint: folder of weights, tokenizer and statistics.
            device: cpu or cuda.
            max_tiles: most tiles of a question's images; None for what the model was trained with.
            loading: in which numbers, and with which adapter; as it is stored if None.

        Raises:
            EarthloomError: the folder is not a checkpoint, or lacks a part of one.
        """
        from transformers.utils import logging as transformers_logging

        transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        # What does not fit is an error of ours, with its names.
        transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
        kind = NETWORKS[check_checkpoint(checkpoint)]
        self.tokenizer = load_tokenizer(checkpoint)
        adapter = loading.adapter if loading else None
        own = adapter is not None and (adapter / NORMALISATION_FILE).is_file()
        self.record = adapter if adapter is not None and own else checkpoint
        """Folder that says what the model was taught, on which statistics: an adapter's that was fine-tuned here, which
        has those of its base too, or the checkpoint's."""
        self.normalise = Normalisation.load(self.record)
        self.true_colour = TrueColour.of(self.normalise, Limits.load(self.record))
        self.network = kind(checkpoint, self.tokenizer, loading, device)
        self.model = self.network.model
        self.image_size = self.model.config.image_size
        self.max_tiles = max_tiles or self.model.config.max_tiles
        self.box_form: str = self.model.config.box_form

    def tiles(self, images: Sequence[Image], most: Sequence[int | None] = ()) -> list[Tiles]:
        """The images of one question, cut into tiles as in training: several images share the room of one.

        Args:
            images: of the question.
            most: tiles of each, where it is to have fewer.
        """
        share = tile_share(self.max_tiles, len(images))
        shares = [min(share, own or share) for own in most] or [share] * len(images)
        return [image.tiled(self.image_size, own) for image, own in zip(images, shares, strict=True)]

    @property
    def context(self) -> int:
        """Most tokens that a question and its answer may have together."""
        text: Any = self.model.config.text_config
        return int(text.max_position_embeddings)

    def encode(self, question: Question) -> Prompt:
        """The question in tokens.

        Raises:
            TrainingError: the images and the `<image>` in the text differ in number, or the network cannot be asked so.
        """
        counts = [image.count * self.model.config.tokens_per_tile for image in question.images]
        try:
            return self.network.encode(question.turns, counts, question.system)
        except PromptError as error:
            raise TrainingError(f"the question {question.turns[-1][0]!r} cannot be asked: {error}") from error

    def ask(self, question: Question, max_new_tokens: int) -> Ask:
        """One question, ready for the network.

        Raises:
            TrainingError: the question cannot be asked as it stands.
            TooLongError: it leaves no room for its answer.
        """
        prompt = self.encode(question)
        if prompt.tokens + max_new_tokens > self.context:
            raise TooLongError(
                f"the question has {prompt.tokens} tokens with its images and the turns before it, and its answer may "
                f"have {max_new_tokens}; the model takes {self.context} together. Ask for a shorter answer, begin a "
                "new conversation or show fewer images"
            )
        return Ask(prompt, max_new_tokens, batch_images(question.images) if question.images else {})

    def stream(self, question: Question, max_new_tokens: int) -> Iterator[str]:
        """The answer as it is generated, by greedy decoding.

        Raises:
            TrainingError: the question cannot be asked as it stands.
        """
        yield from self.network.stream(self.ask(question, max_new_tokens))


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a checkpoint, set so that boxes and tags stay in a decoded answer.

    Published tokenizers hold all added tokens for special, which decoding leaves out, and with them every box
    (spec of EarthDial, section 1.4). Ids do not change.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    try:
        tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(folder)
    except Exception as error:  # whatever transformers and its parser raise over a file that is no tokenizer
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(f"{folder}/tokenizer.json is not a tokenizer: {reason}") from error
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
