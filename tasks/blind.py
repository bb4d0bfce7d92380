"""Stage `blind`: which kinds of test question can be answered from their text, by solvers that read that alone."""

from collections.abc import Iterator

import pyarrow.parquet as pq
from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, require, write_json
from tasks.dialogue.facts import ChipFacts
from tasks.quality.blind import ByScene, Item, NGrams, Solver, marks

COLUMNS = ["chip_id", "sensor", "turns", "facts"]


class BlindParams(Section):
    """`blind:` in params.yaml."""

    ngram: int = Field(ge=1, le=5, description="words of an n-gram of the question, at most")
    buckets: int = Field(ge=1024, le=2**22, description="that n-grams are hashed to")
    lead: float = Field(
        ge=0, lt=1, description="a kind of question is marked where a solver beats balanced chance by more than this"
    )
    bootstrap: int = Field(ge=100, description="resamplings of the test chips behind each confidence interval")
    seed: int = Field(ge=0, description="of the resampling")


def scene_of(facts: str) -> str:
    """The largest label of a chip, or its first tag; empty where it has neither, or the row carries no facts."""
    if not facts:
        return ""
    known = ChipFacts.from_json(facts)
    return next(iter(known.areas), "") or min(known.tags, default="")


def questions(side: str) -> Iterator[Item]:
    """Every question about chips and series of one side of the split."""
    split = tables.read(paths.split() / "assignment.parquet", ["chip_id", "split"])
    chosen = {c for c, s in zip(split["chip_id"].to_pylist(), split["split"].to_pylist(), strict=True) if s == side}
    scenes: dict[str, str] = {}
    values = read_params()
    for sensor in values["sensors"]["enabled"]:
        for part in values["grid"]["parts"]:
            path = require(paths.qa(sensor, part) / "conversations.parquet")
            with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
                for batch in file.iter_batches(batch_size=4096, columns=COLUMNS):
                    for row in batch.to_pylist():
                        chip = row["chip_id"]
                        if chip not in chosen:
                            continue
                        if chip not in scenes:
                            scenes[chip] = scene_of(row["facts"])
                        for turn in row["turns"]:
                            texts = turn["question"], turn["answer"]
                            yield Item.of(chip, turn["question_type"], row["sensor"], scenes[chip], *texts)
    yield from _of_series(side)


def _of_series(side: str) -> Iterator[Item]:
    table = tables.read(paths.series() / "series.parquet", ["series_id", "split"]).to_pylist()
    chosen = {row["series_id"] for row in table if row["split"] == side}
    path = require(paths.series() / "conversations.parquet")
    with tables.whole(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(batch_size=4096, columns=COLUMNS[:-1]):
            for row in batch.to_pylist():
                for turn in row["turns"] if row["chip_id"] in chosen else ():
                    texts = turn["question"], turn["answer"]
                    yield Item.of(row["chip_id"], turn["question_type"], row["sensor"], "", *texts)


def run() -> Summary:
    """Train on the text of the training side, answer that of the test side, mark what was guessed."""
    params = load(BlindParams, "blind")
    solvers: dict[str, Solver] = {"ngrams": NGrams(params.ngram, params.buckets), "scene": ByScene()}
    found = marks(questions("train"), questions("test"), solvers, params.lead, params.bootstrap, params.seed)
    if not found:
        raise EmptyStageError("no conversation is about a test chip; see data/qa and data/split")
    marked = [kind for kind, one in found.items() if one["marked"]]
    write_json(paths.blind() / "marks.json", {"lead": params.lead, "marked": marked, "kinds": found})
    return {
        "questions": sum(one["questions"] for one in found.values()),
        "kinds": len(found),
        "marked": len(marked),
        "marked_questions": sum(found[kind]["questions"] for kind in marked),
    }


if __name__ == "__main__":
    main("blind", run)
