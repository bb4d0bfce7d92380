"""Stage `qa`: conversations about the chips of one part of the grid, each answer verified against the labels."""

from collections import Counter

from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError, ParamsError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main
from tasks.dialogue import conversations
from tasks.dialogue.templates import TemplateGenerator
from tasks.dialogue.write_pairs import REJECTED, ask, subjects
from tasks.generators.params import GeneratorName, ModelParams


class QAParams(Section):
    """How conversations are generated."""

    generator: GeneratorName = Field(description="who writes the pairs; templates grounded in the labels")
    seed: int = Field(ge=0, description="with the chip's id, decides what is asked about it")
    pairs_per_chip: int = Field(ge=1, le=32, description="question-answer pairs a chip, at most")
    min_pairs: int = Field(ge=1, description="a chip with fewer verified pairs is rejected")
    turns: int = Field(ge=1, le=16, description="pairs a conversation")
    model: ModelParams = Field(description="of the generators other than templates")


def make(params: QAParams) -> TemplateGenerator:
    """The generator that params.yaml asks for.

    Raises:
        ParamsError: it is one that this stage cannot run yet.
    """
    if params.generator != "template":
        raise ParamsError(
            f"qa.generator is '{params.generator}', which stage `qa` does not run yet: set it to template"
        )
    return TemplateGenerator(params.pairs_per_chip, params.seed)


def run(sensor: str, part: str) -> Summary:
    """Write and verify the conversations about one part's chips."""
    params = load(QAParams, "qa")
    shards = tables.read_shards(paths.chips(sensor, part), ["chip_id"])
    chip_ids = sorted(shards["chip_id"].to_pylist()) if shards.num_rows else []
    rows, rejected = ask(list(subjects(chip_ids, sensor)), make(params), params.turns, params.min_pairs, params.seed)
    folder = paths.qa(sensor, part)
    tables.write_rows(rejected, REJECTED, folder / "rejected.parquet")
    if chip_ids and not rows:
        raise EmptyStageError(
            f"no pair about the {len(chip_ids)} chips of {sensor} {part} passed; first reason: "
            f"{rejected[0]['reason']}. All reasons: {folder / 'rejected.parquet'}"
        )
    tables.write_rows(rows, conversations.SCHEMA, folder / "conversations.parquet")
    types = Counter(turn["question_type"] for row in rows for turn in row["turns"])
    return {
        "chips": len(chip_ids),
        "conversations": len(rows),
        "pairs": sum(types.values()),
        "rejected": len(rejected),
        "by_type": dict(sorted(types.items())),
    }


if __name__ == "__main__":
    main("qa", run)
