"""Stage `qa`: conversations about the chips of one part of the grid, each answer verified against what is known.

Rows are written as they come: memory does not grow with the part. A run that was killed starts again; what a model
answered before is in its cache and is not asked for again.
"""

import gc
import shutil
from typing import Annotated

from pydantic import Field, field_validator

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, ParamsError
from tasks.core.log import progress
from tasks.core.section import Section, load
from tasks.core.stage import Summary, address, main, write_json
from tasks.dialogue import conversations
from tasks.dialogue.chip_facts import LabelBook, chips_of, count_chips, open_labels
from tasks.dialogue.decisions import Decisions
from tasks.dialogue.generator import PairGenerator
from tasks.dialogue.ledger import REJECTED, Policy
from tasks.dialogue.verifier import judge
from tasks.dialogue.write_pairs import PairWriter
from tasks.generators.choose import make_generator
from tasks.generators.params import GeneratorName, ModelParams
from tasks.generators.templates.balance import DECODED, Balance, count, is_sampled
from tasks.generators.templates.generator import Choice, TemplateGenerator
from tasks.generators.templates.registry import KINDS

CHUNK = 1024
"""Conversations in memory: each carries the facts of its chip."""
GARBAGE = 50_000
"""New objects after which those in cycles are looked for."""
OTHER = "other"


class QAParams(Section):
    """How conversations are generated."""

    generator: GeneratorName = Field(description="who writes the pairs; templates grounded in the labels")
    seed: int = Field(ge=0, description="with the chip's id, decides what is asked about it")
    kinds: list[str] = Field(
        min_length=1, description="kinds of questions that templates ask, each as often as the others where facts allow"
    )
    pairs_per_chip: dict[str, Annotated[float, Field(ge=1, le=32)]] = Field(
        description="sensor, or `other` -> question-answer pairs a chip, at most; a fraction is a fixed share of the "
        "chips with one more"
    )
    abstention: float = Field(
        ge=0, le=0.5, description="share of pairs whose right answer is that the image does not show it"
    )
    short_answers: float = Field(ge=0, le=1, description="share of the templates' answers that are no whole sentence")
    min_pairs: int = Field(ge=1, description="a chip that keeps fewer pairs is left out")
    turns: int = Field(ge=1, le=16, description="pairs a conversation; a dialogue that refers back is never cut")
    max_same_type: int = Field(ge=1, description="pairs of one kind about one chip")
    max_answer_share: float = Field(
        gt=0, le=1, description="of one short answer among those of its kind in a part; what is beyond is dropped"
    )
    keep_unchecked: list[str] = Field(
        description="question types whose pairs are kept, marked, where the verifier cannot check them"
    )

    model: ModelParams = Field(description="of the generators other than templates")

    @field_validator("kinds")
    @classmethod
    def _are_known(cls, kinds: list[str]) -> list[str]:
        unknown = sorted({name for name in kinds if name not in KINDS or kinds.count(name) > 1})
        if unknown:
            raise ValueError(
                f"{', '.join(unknown)} is no kind of question, or named twice; allowed: {', '.join(KINDS)}"
            )
        return kinds

    def pairs_of(self, sensor: str) -> float:
        """Pairs a chip of a sensor.

        Raises:
            ParamsError: neither the sensor nor `other` has a number.
        """
        found = self.pairs_per_chip.get(sensor, self.pairs_per_chip.get(OTHER))
        if found is None:
            raise ParamsError(f"qa.pairs_per_chip has no number for '{sensor}', and none for '{OTHER}'")
        return found

    @property
    def policy(self) -> Policy:
        """What is kept."""
        unchecked = frozenset(self.keep_unchecked)
        return Policy(self.min_pairs, self.turns, self.max_same_type, self.max_answer_share, unchecked)


def templates(params: QAParams, sensor: str, balance: Balance | None = None) -> TemplateGenerator:
    """The templates that params.yaml asks for."""
    pairs = params.pairs_of(sensor)
    return TemplateGenerator(
        Choice(pairs, params.seed, tuple(params.kinds), params.abstention, params.short_answers), balance
    )


def balance_of(book: LabelBook, part: str, chips: int, params: QAParams) -> Balance:
    """How often each answer can be asked for, counted over the chips of a part."""
    kinds = [KINDS[name] for name in params.kinds]
    some = chips_of(book, part, lambda chip_id: is_sampled(chip_id, chips), pixels=False)
    pairs = params.pairs_of(book.sensor)
    balance = count(some, [kind for kind in kinds if not kind.of_pixels], pairs)
    few = chips_of(book, part, lambda chip_id: is_sampled(chip_id, chips, DECODED))
    return balance.with_kinds(count(few, [kind for kind in kinds if kind.of_pixels], pairs))


def make(params: QAParams, book: LabelBook, part: str, chips: int) -> tuple[PairGenerator, Balance]:
    """The generator that params.yaml asks for, and the balance of the templates' answers."""
    balance = balance_of(book, part, chips, params)
    writer = templates(params, book.sensor, balance)
    generator = make_generator(params, book.sensor, paths.chips(book.sensor, part), writer)
    return generator, balance


def run(sensor: str, part: str) -> Summary:
    """Write and verify the conversations about one part's chips."""
    # Pairs hold no cycles, and looking for them among what is remembered of texts takes a tenth of the time.
    gc.set_threshold(GARBAGE)
    params = load(QAParams, "qa")
    params.pairs_of(sensor)
    chips, folder = count_chips(sensor, part), paths.qa(sensor, part)
    work = paths.work(address("qa", sensor, part)) / "labels"
    shutil.rmtree(work, ignore_errors=True)
    book = open_labels(sensor, paths.labels(sensor, part), work)
    generator, balance = make(params, book, part, chips)
    with (
        tables.row_writer(conversations.SCHEMA, folder / "conversations.parquet", CHUNK) as keep,
        tables.row_writer(REJECTED, folder / "rejected.parquet") as reject,
    ):
        writer = PairWriter(generator.provenance, params.policy, keep, reject, Decisions())
        counts = writer.run(generator, progress(chips_of(book, part), "writing pairs", chips), judge)
    write_json(folder / "balance.json", balance.as_json())
    shutil.rmtree(work)
    if chips and not counts.kept:
        reasons = ", ".join(f"{reason} {number}" for reason, number in counts.rejected.most_common()) or "none written"
        raise EmptyStageError(
            f"no pair about the {chips} chips of {sensor} {part} was kept; reasons: {reasons}. "
            f"Each pair with its reason: {folder / 'rejected.parquet'}"
        )
    return counts.summary()


if __name__ == "__main__":
    main("qa", run)
