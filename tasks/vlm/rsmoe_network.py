"""RS-MoE as a network that is asked: a prompt an expert, texts of a caption joined, other answers mixed.

A checkpoint of its first stage has no experts, and is asked like any other network. The experts have templates where
the chat layout has its system prompt, so that a question with a system prompt of its own is refused and not bent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from models.earthdial.continuous_batching import Usage
from models.parts.prompt import SYSTEM, PromptError, Turns, encode, render
from models.rsmoe import generate
from models.rsmoe.generate import Answered, template_places
from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.prompt import (
    QFORMER_TOKENIZER,
    SENTENCE,
    ExpertError,
    asks_for_caption,
    instruction_ids,
    join_texts,
    request_for,
)
from tasks.core.errors import TrainingError
from tasks.core.stage import read_json
from tasks.vlm.loading import Loading
from tasks.vlm.network import Ask, Finished, Network, Prompt, Step, load_weights
from tasks.vlm.rsmoe_side_by_side import RsMoeSideBySide, check
from tasks.vlm.sampling import Sampling

APART = re.compile(r"expert_models\.(\d+)\.")
"""Beginning of the name of a weight of an expert with a language model of its own."""


class RsMoeNetwork(Network):
    """One of `tasks.vlm.network.Network`."""

    kind = RsMoeForConditionalGeneration

    def __init__(self, folder: Path, tokenizer: Any, loading: Loading | None = None, device: str = "cpu") -> None:
        """Load it.

        Raises:
            TrainingError: weights and configuration do not fit each other, an expert is missing, or the prompt of one
                is too short for the router; says which.
        """
        super().__init__(folder, tokenizer, loading, device)
        config = self.model.config
        self.experts: list[str] = config.experts
        self.instructions: Any = load_reader(folder)
        if config.router != "trained":
            return
        with _named(folder):
            for expert, template in zip(config.experts, config.templates, strict=True):
                ids = encode(tokenizer, [("?", "")], [], template).ids
                template_places(ids, config.prompt_tokens, config.end_token_id, expert)

    def load(self, folder: Path, options: Mapping[str, Any]) -> Any:
        """The model, every one of its weights.

        Raises:
            TrainingError: some are missing or do not fit, or config.json names experts that cannot be.
        """
        with _named(folder / "config.json"):
            lacking = partial(_experts_lacking, read_json(folder / "config.json"))
            return load_weights(self.kind, folder, options, lacking)

    def encode(self, turns: Turns, tokens_per_image: Sequence[int], system: str) -> Prompt:
        """The conversation in tokens, once for each expert, and its last question for the Q-Former.

        Raises:
            PromptError: it cannot be asked as it stands, has no image, or a system prompt of its own.
        """
        if self.experts and system != SYSTEM:
            raise PromptError("the experts have prompts of their own in place of a system prompt; ask without one")
        if self.experts and not tokens_per_image:
            raise PromptError("the router sees no image; show at least one")
        systems = self.model.config.templates or [system]
        ids = tuple(tuple(encode(self.tokenizer, turns, tokens_per_image, one).ids) for one in systems)
        read = instruction_ids(turns, self.tokenizer, self.instructions)
        requests: tuple[tuple[int, ...], ...] = ()
        if self.model.config.router == "generative":
            last, asked = turns[-1], self.model.config.templates
            rewritten = [(*turns[:-1], (request_for(one, last[0]), "")) for one in asked]
            requests = tuple(tuple(encode(self.tokenizer, one, tokens_per_image).ids) for one in rewritten)
        joined = bool(self.experts) and asks_for_caption(turns[-1][0])
        return Prompt("".join(render(turns, one) for one in systems), ids, tuple(read), joined, requests)

    def answer_all(self, questions: Iterable[Ask], batch: int, usage: Usage) -> Iterator[Finished]:
        """Greedy answers, a batch after the other; those of a batch are decoded side by side."""
        waiting, number = iter(questions), 0
        while some := list(islice(waiting, batch)):
            # One batch has one longest answer: a question that leaves less room for its own is asked apart.
            for longest, alike in groupby(some, lambda ask: ask.max_new_tokens):
                asks = list(alike)
                with _named("the experts cannot answer"):
                    answers = generate.answer(self.model, [ready(ask) for ask in asks], longest)
                for done in answers:
                    yield Finished(number, self._text(done), done.ended)
                    number += 1
                usage.steps += 1
                usage.decoded += len(asks)

    def stream(self, ask: Ask) -> Iterator[str]:
        """The answer: a caption sentence by sentence, any other word by word."""
        shown = ""
        for step in self._steps(ask):
            if added := step.text[len(shown) :]:
                yield added
            shown = step.text

    def check(self, sampling: Sampling) -> None:
        """Refuse what experts cannot keep to."""
        check(sampling)

    def side_by_side(self, rows: int, kept_bytes: int) -> RsMoeSideBySide:
        """The answers of a server, one after the other whatever `rows` is; nothing is kept."""
        return RsMoeSideBySide(self._steps)

    def _steps(self, ask: Ask) -> Iterator[Step]:
        last: Answered | None = None
        with _named("the experts cannot answer"):
            for number, last in enumerate(generate.stream(self.model, ready(ask), ask.max_new_tokens), 1):
                open_ = [len(ids) == number for ids in last.ids]
                yield Step(self._settled(last, open_), sum(map(len, last.ids)), last.ended)
        if last is not None:
            yield Step(self._text(last), sum(map(len, last.ids)), last.ended, last=True)

    def _text(self, answered: Answered) -> str:
        texts = [self.decode(ids) for ids in answered.ids]
        return texts[0] if len(texts) == 1 else join_texts(texts)

    def _settled(self, answered: Answered, open_: Sequence[bool]) -> str:
        """What of an unfinished answer stays as it is, whatever comes: its text up to the first that may still change.

        Args:
            answered: the tokens so far.
            open_: whether each expert is still writing.
        """
        texts = [self.decode(ids) for ids in answered.ids]
        if len(texts) == 1:
            # The last character may be half of one that is written in several tokens.
            return texts[0].rstrip("\ufffd")
        settled: list[str] = []
        for text, writes in zip(texts, open_, strict=True):
            if writes:
                return join_texts([*settled, *SENTENCE.split(text)[:-1]])
            settled.append(text)
        return join_texts(settled)


@contextmanager
def _named(what: object) -> Iterator[None]:
    """An error of the experts as one of the user's, with what it is about."""
    try:
        yield
    except ExpertError as error:
        raise TrainingError(f"{what}: {error}") from error


def load_reader(folder: Path | None) -> Any:
    """The tokenizer of the Q-Former; None where it reads with that of the language model."""
    if folder is None or not (folder / QFORMER_TOKENIZER).is_dir():
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder / QFORMER_TOKENIZER)


def _experts_lacking(config: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Experts that config.json names and the weights do not hold, or hold besides."""
    experts = config.get("experts") or []
    apart = {int(match[1]) for key in report["missing_keys"] if (match := APART.match(key))}
    held = next((shape[0] for key, shape, _ in report["mismatched_keys"] if key.endswith(".lora_A")), len(experts))
    if any(key.endswith(".lora_A") for key in report["missing_keys"]):
        held = 0
    lacking = [name for number, name in enumerate(experts) if number >= held or number in apart]
    if not lacking and held <= len(experts):
        return ""
    there = f"hold nothing of {', '.join(lacking)}" if lacking else f"hold {held}"
    named = ", ".join(experts) or "none"
    return f"config.json names the experts {named}, but the weights {there}; take both from one training stage"


def ready(ask: Ask) -> generate.Prompt:
    """A question as the model takes it."""
    prompt = ask.prompt
    return generate.Prompt(prompt.ids, prompt.instruction, ask.images, prompt.joined, prompt.requests)
