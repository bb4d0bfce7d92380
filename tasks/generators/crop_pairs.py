"""Pairs about crops of chips: templates on what is known of each crop, verified as those about whole chips are."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pydantic import Field, field_validator

from tasks.core.section import Section
from tasks.dialogue.crops import Crop, draw, facts_of
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Pair
from tasks.dialogue.verifier import judge
from tasks.earth.label_masks import SIDE
from tasks.generators.templates.balance import count
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tasks.generators.templates.registry import KINDS

NOT_OF_CROPS = (
    "nearby", "count", "referring", "grounding", "season", "date", "country", "sensor", "dialogue", "spectral",
    "backscatter", "temperature",
)  # fmt: skip
"""Kinds that ask about features, about the ground around, about when and where, or about what was measured on the whole
chip: nothing of it is known of a crop. A dialogue's turns would be pairs of their own."""
OF_CROPS = tuple(kind for kind in KINDS if kind not in NOT_OF_CROPS)


class CropParams(Section):
    """`mixture.*.crops`: squares of training chips that are asked about besides the chips."""

    per_chip: int = Field(ge=1, description="crops of each training chip")
    least: int = Field(
        ge=4, le=SIDE, description=f"smallest side of a crop, of the {SIDE} cells along a side of a chip"
    )
    pairs: float = Field(ge=1, le=32, description="question-answer pairs a crop, at most")
    kinds: list[str] = Field(min_length=1, description="kinds of questions about crops: " + ", ".join(OF_CROPS))
    short_answers: float = Field(ge=0, le=1, description="share of the answers that are no whole sentence")
    seed: int = Field(ge=0, description="with the chip's id, decides where the crops lie and what is asked")

    @field_validator("kinds")
    @classmethod
    def _can_be_asked(cls, kinds: list[str]) -> list[str]:
        unknown = sorted(set(kinds) - set(OF_CROPS))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} cannot be asked of a crop; allowed: {', '.join(OF_CROPS)}")
        return kinds


class Cropped(NamedTuple):
    """One crop of one chip, and the pairs about it that the verifier supports."""

    chip_id: str
    number: int
    crop: Crop
    pairs: tuple[Pair, ...]


def pairs_of_crops(chips: Iterable[ChipFacts], params: CropParams, min_fraction: float) -> Iterator[Cropped]:
    """Crops of chips of one sensor with their pairs; the same for the same chips.

    Args:
        chips: facts of each, in a fixed order; their crops are held at a time, as the balance of answers is theirs.
        params: how many and what is asked.
        min_fraction: share of a crop under which a label is not there.
    """
    drawn = [
        (facts, number, draw(facts.chip_id, number, params.seed, params.least))
        for facts in chips
        for number in range(params.per_chip)
    ]
    # A crop has an id of its own: what is asked of it is drawn by it.
    known = [
        facts_of(facts, crop, f"{facts.chip_id}~{params.seed}.{number}", min_fraction) for facts, number, crop in drawn
    ]
    balance = count(known, [KINDS[kind] for kind in params.kinds], params.pairs)
    choice = Choice(params.pairs, params.seed, tuple(params.kinds), 0.0, params.short_answers)
    written = TemplateGenerator(choice, balance).generate(known, judge)
    for (facts, number, crop), one in zip(drawn, written, strict=True):
        good = tuple(judged.pair for judged in one.judged if judged.verdict.state == SUPPORTED)
        yield Cropped(facts.chip_id, number, crop, good)
