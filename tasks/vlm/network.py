"""What the kinds of network have in common: how one is loaded, how a question is put to it, how its answer comes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from models.earthdial.continuous_batching import Usage
from models.parts.prompt import IMAGE_CONTEXT, Turns
from tasks.core.errors import TrainingError
from tasks.vlm.loading import Loading, options_of, put_adapter, refuse_not_finite, tensors_of


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
    """An answer as far as it has come."""

    text: str
    tokens: int
    ended: bool


@dataclass(frozen=True)
class Running:
    """An answer that is being generated for a server."""

    queue: Any
    """An asyncio.Queue of its text, then None; or what transformers puts there where it failed."""
    cancel: Callable[[], None]
    tokens: Callable[[], int]
    """That have been generated so far."""
    cut: Callable[[], bool]
    """Whether it has come to the longest without an end."""


class ServingThread(Protocol):
    """The one thread that a server generates on; see `tasks.serving.generation`."""

    def generate_streaming(self, model: Any, processor: Any, inputs: Any, gen_config: Any, request_id: str) -> Any:
        """transformers' own: (queue, streamer) of a model's `generate`."""

    def generate_steps(self, steps: Iterator[Step]) -> Running:
        """The texts of an answer that comes step by step."""


class Network(ABC):
    """The network of a checkpoint, with the tokenizer beside it."""

    kind: ClassVar[Any]
    """Class of the model, with the `from_pretrained` of transformers."""
    samples: ClassVar[bool]
    """Whether a token can be drawn at random; otherwise the likeliest is always taken."""
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
    def start(self, thread: ServingThread, ask: Ask, sampling: Any) -> Running:
        """Begin to answer one question for a server.

        Args:
            thread: of the server.
            ask: the question.
            sampling: GenerationConfig of transformers, how tokens are chosen.
        """

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some tokens."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()


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
    model, report = kind.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True, **options)
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
