"""What the kinds of network have in common: how one is loaded, how a question is put to it, how its answer comes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor

from models.earthdial.continuous_batching import Usage
from models.parts.prompt import IMAGE_CONTEXT, Turns
from tasks.core.errors import TrainingError
from tasks.vlm.loading import Loading, options_of, put_adapter, refuse_not_finite, tensors_of
from tasks.vlm.sampling import Sampling, TokenLogprob


@dataclass(frozen=True)
class Prompt:
    """A question in tokens."""

    text: str
    """What is read, images as `<image>`; where several prompts are, one after the other."""
    ids: tuple[tuple[int, ...], ...]
    """Tokens of each prompt that is read: one, or one an expert."""
    instruction: tuple[int, ...] = ()
    """Tokens of the question alone, where a part of the network reads it by itself."""
    joined: bool = False
    """Whether the answer is joined from the texts of several experts."""
    requests: tuple[tuple[int, ...], ...] = ()
    """What the network is asked for each expert's prompt, where it writes them itself."""

    @property
    def tokens(self) -> int:
        """Of the longest prompt, images included."""
        return max(map(len, self.ids))


@dataclass(frozen=True)
class Ask:
    """One question, ready for the network."""

    prompt: Prompt
    max_new_tokens: int
    images: Mapping[str, Tensor] = field(default_factory=dict)
    """As `tasks.vlm.images.batch_images` gives them; empty where there is no image."""


@dataclass(frozen=True)
class Finished:
    """One answer."""

    number: int
    """Of the question, as they were given."""
    text: str
    ended: bool
    """Whether the network ended it; otherwise it was cut at the longest."""


@dataclass(frozen=True)
class Step:
    """An answer as far as it has come, where it comes as text."""

    text: str
    """Begins with that of the step before."""
    tokens: int
    ended: bool
    last: bool = False


@dataclass(frozen=True)
class Part:
    """What one step has added to an answer of a server."""

    number: int
    """Of the question."""
    text: str = ""
    tokens: int = 0
    """Of the answer so far."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Of the tokens of `text`, where they are wanted."""
    finish: Literal["stop", "length"] | None = None
    """Why nothing more comes: the network or a stop text ended the answer, or it is cut at the longest."""
    cached: int = 0
    """Tokens of the question whose keys and values were at hand."""
    failed: str = ""
    """Why there is no answer; nothing more comes then either."""
    stopped: bool = False
    """Whether it failed because nothing is decoded any more."""

    @property
    def last(self) -> bool:
        """Whether nothing more comes."""
        return self.finish is not None or bool(self.failed)


class SideBySide(Protocol):
    """Answers of a server that are decoded together; all but `prepare` on one thread."""

    rows: int
    """Answers there is room for."""

    @property
    def running(self) -> int:
        """Answers being decoded."""

    def prepare(self, ask: Ask, sampling: Sampling) -> Any:
        """A question as `begin` takes it; what can be worked out without the model, on any thread.

        Raises:
            NotHonouredError: the network cannot keep to what is asked of the tokens.
        """

    def admits(self, prepared: Any, beside: Sequence[Any]) -> bool:
        """Whether it can begin now, beside others that are about to."""

    def begin(self, asked: Sequence[tuple[int, Any]], gone: Callable[[int], bool]) -> Iterator[Part]:
        """Read questions, by their numbers; what they have of an answer so far. One that fails leaves the others.

        Args:
            asked: number and question; each was admitted.
            gone: whether nobody wants the answer to a question any more.
        """

    def step(self) -> Iterator[Part]:
        """One more token of every answer."""

    def leave(self, number: int) -> None:
        """Nobody wants this answer any more."""

    def reset(self) -> None:
        """Leave every answer, after a step that failed."""


class Network(ABC):
    """The network of a checkpoint, with the tokenizer beside it."""

    kind: ClassVar[Any]
    """Class of the model, with the `from_pretrained` of transformers."""
    adaptable: ClassVar[bool] = False
    """Whether it can be loaded in few bits, and with an adapter."""

    def __init__(self, folder: Path, tokenizer: Any, loading: Loading | None = None, device: str = "cpu") -> None:
        """Load it.

        Raises:
            TrainingError: a weight is missing, unknown, of another shape or not finite, the tokenizer is of another
                vocabulary, or the network cannot be loaded so.
        """
        loading = loading or Loading()
        if (loading.load_in or loading.adapter) and not self.adaptable:
            raise TrainingError(
                f"{folder}: networks of kind {self.kind.config_class.model_type} are loaded whole; --load-in and "
                "--adapter are for EarthDial's and InternVL's"
            )
        self.tokenizer = tokenizer
        self.model: Any = self.load(folder, options_of(loading, device))
        rows, expected = self.model.get_input_embeddings().num_embeddings, self.model.config.image_token_id
        if loading.adapter is not None:
            self.model = put_adapter(self.model, folder, loading.adapter, merge=loading.load_in is None)
        if loading.load_in is None:
            self.model.to(torch.device(device))
        self.model.eval()
        image = tokenizer.convert_tokens_to_ids(IMAGE_CONTEXT)
        if len(tokenizer) > rows or image != expected:
            raise TrainingError(
                f"the tokenizer in {folder} does not fit its weights: it has {len(tokenizer)} tokens, and the network "
                f"rows for {rows}; {IMAGE_CONTEXT} is token {image}, and in config.json {expected}. Take both from one "
                "training stage"
            )

    def load(self, folder: Path, options: Mapping[str, Any]) -> Any:
        """The model, every one of its weights."""
        return load_weights(self.kind, folder, options)

    @abstractmethod
    def encode(self, turns: Turns, tokens_per_image: Sequence[int], system: str) -> Prompt:
        """A question in tokens.

        Args:
            turns: (question, answer), images as `<image>`; the last answer is empty.
            tokens_per_image: visual tokens of each image, in order.
            system: the system prompt.

        Raises:
            PromptError: it cannot be asked as it stands.
        """

    @abstractmethod
    def answer_all(self, questions: Iterable[Ask], batch: int, usage: Usage) -> Iterator[Finished]:
        """Greedy answers, each as soon as it has ended; questions are taken one by one as there is room.

        Args:
            questions: ready for the network.
            batch: questions decoded together; the answers do not depend on it.
            usage: counts how full the batch is.
        """

    @abstractmethod
    def stream(self, ask: Ask) -> Iterator[str]:
        """The greedy answer to one question as it comes. Closing the iterator stops generation."""

    @abstractmethod
    def check(self, sampling: Sampling) -> None:
        """Refuse what the network cannot keep to.

        Raises:
            NotHonouredError: names the field.
        """

    @abstractmethod
    def side_by_side(self, rows: int, kept_bytes: int) -> SideBySide:
        """The answers of a server.

        Args:
            rows: decoded together, where the network can.
            kept_bytes: most that is kept of questions and images for those that follow.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens."""
        return self.text(ids).strip()

    def text(self, ids: Sequence[int]) -> str:
        """The same with the spaces around it."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text


def load_weights(
    kind: Any, folder: Path, options: Mapping[str, Any], known: Callable[[Mapping[str, Any]], str] = lambda _: ""
) -> Any:
    """A model of transformers, every one of its weights.

    Args:
        kind: its class.
        folder: of the checkpoint.
        options: of `from_pretrained`.
        known: what a report of transformers comes to in the network's own words; empty where it has none.

    Raises:
        TrainingError: a weight is missing, unknown, of another shape or not finite; each is named.
    """
    refuse_not_finite(tensors_of(sorted(folder.glob("*.safetensors"))), str(folder))
    try:
        model, report = kind.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True, **options)
    except Exception as error:
        # Whatever transformers raises over a configuration that is not one; its first line says what.
        reason = shorten(str(error).strip().partition("\n")[0], 300, placeholder=" ...")
        raise TrainingError(
            f"{folder}/config.json does not make a network of kind {kind.config_class.model_type}: "
            f"{type(error).__name__}: {reason}"
        ) from error
    if said := known(report):
        raise TrainingError(f"{folder}: {said}")
    wrong = {
        "missing": report["missing_keys"],
        "unknown": report["unexpected_keys"],
        "mis-shaped": report["mismatched_keys"],
    }
    named = "; ".join(f"{what}: {', '.join(sorted(map(str, keys)))}" for what, keys in wrong.items() if keys)
    if named:
        raise TrainingError(
            f"the weights in {folder} are not those of its config.json ({named}); train it again with this version, or "
            "import it with `earthloom weights import`"
        )
    return model
