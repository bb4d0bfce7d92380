"""A question-answer pair on its way: as it was written, as it was verified, and what it cost."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tasks.dialogue.facts import ChipFacts, one_line
from tasks.earth.label_masks import Box

State = Literal["supported", "contradicted", "not checkable", "accepted"]
SUPPORTED: State = "supported"
CONTRADICTED: State = "contradicted"
NOT_CHECKABLE: State = "not checkable"
ACCEPTED: State = "accepted"
"""By a person, whatever the verifier found."""


@dataclass(frozen=True)
class Pair:
    """One question and its answer, as a generator wrote them. Nothing but the two texts is believed of it."""

    question: str
    answer: str
    question_type: str
    """What its writer calls it: presence, absence, multi-label, scene-class, dominant, share, comparison, adjacency,
    position, count, list, caption, detailed-caption, region-caption, referring, grounding, change, change-position,
    season, date, country, spectral, backscatter, temperature, abstention, nearby, ..."""
    labels_used: tuple[str, ...] = ()
    """Names of the labels that it speaks of, as its writer says."""
    follows: bool = False
    """Whether it goes on with the dialogue of the pair before it."""


@dataclass(frozen=True)
class Evidence:
    """One fact that a verdict rests on."""

    kind: Literal["label", "absence", "pixels", "metadata"]
    """A row of a label; that a complete source gives none; a statistic of the pixels; date, place or sensor."""
    name: str
    """Label, quantity or field of the metadata."""
    source: str = ""
    """Of the label."""
    value: Any = None
    """What it says, a JSON value: {"fraction": 0.4, "position": "north"}, "2017-02-16", ..."""
    boxes: tuple[Box, ...] = ()
    """Where it shows, to be drawn on the chip."""


@dataclass(frozen=True)
class Verdict:
    """What the verifier found of one pair."""

    state: State
    reason: str = ""
    """Why it is contradicted or not checkable, in a sentence with the right value; empty where it is supported."""
    evidence: tuple[Evidence, ...] = ()

    def evidence_json(self) -> str:
        """The evidence as one line of JSON."""
        return one_line([{k: v for k, v in vars(one).items() if v not in ("", None, ())} for one in self.evidence])


@dataclass(frozen=True)
class Judged:
    """A pair, what the verifier found of it, and at which ask of its chip it was written (1 is the first)."""

    pair: Pair
    verdict: Verdict
    attempt: int = 1


Judge = Callable[[ChipFacts, Sequence[Pair]], list[Verdict]]
"""Verifies the pairs of one chip, in their order; a generator that can asks again for what was contradicted."""


@dataclass(frozen=True)
class Usage:
    """What one chip cost."""

    asks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In the currency of the prices in params.yaml."""


@dataclass(frozen=True)
class Written:
    """All that a generator wrote about one chip."""

    chip_id: str
    judged: tuple[Judged, ...]
    """Every pair it ever wrote, in order, with its verdict; those of later asks come later."""
    failures: tuple[str, ...] = ()
    """Answers that gave no pairs, each with why: a refusal, an answer cut short, a deadline, the budget, ..."""
    usage: Usage = field(default_factory=Usage)
    rendering: str = ""
    """How the chip was shown to the model: bands and stretch; empty where it was not."""


@dataclass(frozen=True)
class Provenance:
    """Who writes the pairs, stored with each of them."""

    generator: str
    """template, openai, internlm or transformers."""
    model: str = ""
    revision: str = ""
    """Of the weights, or what the server says of itself; empty for templates."""
    prompt_hash: str = ""
    """Of the prompts, or of the code of the templates."""
    seed: int = 0
    temperature: float | None = None
