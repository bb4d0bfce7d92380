"""Stage `guesses`: held-out questions answered without a model, by what the training side alone suffices for.

The table of who guesses is `tasks.evaluation.metrics.guesses`. A guess that knows nothing of a question falls back to
the majority answer, and how often that was is counted. The pixel probe answers beside them, as a ceiling; where it
cannot, its answer is null. One table for the last stage's test questions, one for the frozen set.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load, read_params
from tasks.core.stage import Summary, main, read_json, require, write_json
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.frozen import Frozen
from tasks.evaluation.guessing.asked import Asked, asked_of
from tasks.evaluation.guessing.commonest import Majority, SameScene
from tasks.evaluation.guessing.table import SCHEMA, SEEN, TEST, UNSEEN, path_of
from tasks.evaluation.metrics.guesses import GUESSES
from tasks.evaluation.metrics.text_normalisation import normalise_text
from tasks.vlm.samples import read_samples


class ProbeParams(Section):
    """`guesses.probe`: the network that reads one pixel."""

    hidden: int = Field(ge=1, description="units of each of its two hidden layers")
    steps: int = Field(ge=1, description="of its training")
    pixels: int = Field(ge=1, description="of a step")
    rate: float = Field(gt=0, description="peak learning rate")


class GuessesParams(Section):
    """`guesses:` in params.yaml: what answers the held-out questions without a model."""

    neighbours: int = Field(ge=1, description="nearest training chips that vote on an answer")
    most_chips: int = Field(
        ge=1,
        description="training chips of one sensor and choice of bands that are read; of more a fixed choice",
    )
    ngram: int = Field(ge=1, le=5, description="words of an n-gram of the question, at most")
    buckets: int = Field(ge=1024, le=2**22, description="that n-grams are hashed to")
    probe: ProbeParams
    seed: int = Field(ge=0, description="of the probe's weights and pixels")


Solver = Callable[[Asked], str | None]
"""A guess, or None where it knows nothing."""


def solvers(training: Sequence[Asked], params: GuessesParams) -> dict[str, Solver]:
    """Every guess but the majority by its key in `GUESSES`."""
    from tasks.evaluation.guessing.neighbours import Neighbours
    from tasks.quality.blind import Item, NGrams

    def item(asked: Asked) -> Item:
        return Item(asked.chip_id, asked.form, asked.sensor, "", asked.question, normalise_text(asked.answer), "")

    ngrams = NGrams(params.ngram, params.buckets, balanced=False)
    ngrams.learn(map(item, training))
    found: dict[str, Solver] = {
        "same_scene": SameScene(training).answer,
        "neighbours": Neighbours(training, params.neighbours, params.most_chips).answer,
        "ngrams": lambda asked: ngrams.answer(item(asked)) or None,
    }
    return {key: found[key] for key in GUESSES if key in found}


def rows_of(
    questions: Sequence[Asked],
    majority: Majority,
    others: Mapping[str, Solver],
    probed: Callable[[Asked], str | None],
    sources: Mapping[str, str],
    scenes: set[str],
) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Rows of `SCHEMA`, and how often each guess knew nothing of its own.

    Args:
        questions: of the test side.
        majority, others: who guesses.
        probed: the probe's answer.
        sources: where the truth of a sample comes from.
        scenes: that some chip is trained on.
    """
    unknown: Counter[str] = Counter()
    rows = []
    for asked in questions:
        common = majority.answer(asked)
        row: dict[str, Any] = {"id": asked.id, GUESSES["majority"].column: common}
        for key, solver in others.items():
            said = solver(asked)
            unknown[key] += said is None
            row[GUESSES[key].column] = common if said is None else said
        row |= {
            "probe_answer": probed(asked),
            "label_source": sources.get(asked.sample_id, ""),
            "scene": SEEN if asked.scene in scenes else UNSEEN,
            "asked_in_training": majority.was_asked(asked),
        }
        rows.append(row)
    return rows, unknown


def vocabulary() -> frozenset[str]:
    """Every label that a source of the data set can give."""
    values = read_params()
    folders = [paths.labels(name, part) for name in values["sensors"]["enabled"] for part in values["grid"]["parts"]]
    found = (read_json(require(folder / "sources.json")) for folder in folders)
    return frozenset(label for sources in found for source in sources.values() for label in source["labels"])


def sources_of_the_dataset() -> dict[str, str]:
    """Label sources of each conversation of our own, by the samples that the mixture makes of it."""
    values = read_params()
    found: dict[str, str] = {}
    for sensor in values["sensors"]["enabled"]:
        for part in values["grid"]["parts"]:
            path = require(paths.qa(sensor, part) / "conversations.parquet")
            for row in tables.read(path, ["conversation_id", "label_sources"]).to_pylist():
                found[row["conversation_id"]] = "+".join(sorted(row["label_sources"] or ()))
    return found


class _BySample(dict[str, str]):
    """Sources by conversation, looked up by sample: <conversation_id>/<modality>."""

    def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
        return super().get(key.rpartition("/")[0], default)


def run() -> Summary:
    """Learn from the last stage's training side, answer its test side and the frozen set."""
    import torch

    from tasks.evaluation.guessing.probe import ProbeSettings
    from tasks.evaluation.guessing.probed import Probes

    params = load(GuessesParams, "guesses")
    torch.set_num_threads(1)  # networks of a thousand weights: more threads only wait for each other
    labels = vocabulary()
    training = list(asked_of(read_samples(require(paths.mixture("3") / "train.parquet")), labels))
    if not training:
        raise EmptyStageError("no training answer is a word or a few, so that nothing can be guessed; see qa.kinds")
    majority = Majority(training)
    others = solvers(training, params)
    scenes = {one.scene for one in training} - {""}
    probes = Probes(
        training,
        ProbeSettings(**params.probe.model_dump(), seed=params.seed),
        read_params()["labels"]["min_fraction"],
    )
    sets: dict[str, tuple[Path, Mapping[str, str]]] = {
        TEST: (paths.mixture("3") / "test.parquet", _BySample(sources_of_the_dataset()))
    }
    if frozen := Frozen.of(load(EvaluateParams, "evaluate").frozen):
        sets[frozen.name] = frozen.questions, frozen.sources()
    summary: dict[str, Any] = {}
    for name, (path, sources) in sets.items():
        questions = list(asked_of(read_samples(path), labels))
        chips = {one.chip_id for one in training} & {one.chip_id for one in questions}
        probed = partial(_probed, probes, sources)
        rows, unknown = rows_of(questions, majority, others, probed, sources, scenes)
        tables.write_rows(rows, SCHEMA, path_of(name))
        summary[name] = {
            "questions": len(rows),
            "never_asked_in_training": sum(not row["asked_in_training"] for row in rows),
            "about_scenes_never_trained_on": sum(row["scene"] == UNSEEN for row in rows),
            "chips_trained_on": len(chips),
            "majority_instead": dict(sorted(unknown.items())),
            "probe_answers": sum(row["probe_answer"] is not None for row in rows),
        }
    write_json(paths.guesses() / "guesses.json", {"sets": summary, "probes": probes.trained})
    return {"training_questions": len(training), **summary}


def _probed(probes: Any, sources: Mapping[str, str], asked: Asked) -> str | None:
    source = sources.get(asked.sample_id, "")
    return probes.answer(asked, source) if source and "+" not in source else None


if __name__ == "__main__":
    main("guesses", run)
