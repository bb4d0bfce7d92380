"""The generator that params.yaml asks for."""

import math
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.generator import PairGenerator
from tasks.dialogue.pairs import SUPPORTED, Judge, Pair
from tasks.earth.grid import stable_hash
from tasks.earth.sensors import SENSORS
from tasks.generators.asks import Picture
from tasks.generators.chip_source import ChipSource
from tasks.generators.params import GeneratorName, ModelParams
from tasks.generators.renderings import renderings


class GeneratorParams(Protocol):
    """What is asked of the section `qa` of params.yaml."""

    @property
    def generator(self) -> GeneratorName:
        """Who writes."""

    @property
    def seed(self) -> int:
        """Of the run."""

    @property
    def model(self) -> ModelParams:
        """Of the generators other than templates."""

    def pairs_of(self, sensor: str) -> float:
        """Pairs a chip of a sensor, on average."""


def make_generator(params: GeneratorParams, sensor: str, chips_folder: Path, templates: PairGenerator) -> PairGenerator:
    """The generator of one part's chips.

    Args:
        params: section `qa`.
        sensor: of the chips.
        chips_folder: of their shards, for models that are shown them.
        templates: the generator `template`, which also writes what a model words anew.

    Raises:
        GenerationError: the parameters ask for what would not work or would answer wrongly.
    """
    if params.generator == "template":
        return templates
    model, seed, mean = params.model, params.seed, params.pairs_of(sensor)
    lock = threading.Lock()

    def count(facts: ChipFacts) -> int:
        return drawn_count(mean, f"{seed}/{facts.chip_id}")

    @cache
    def source() -> ChipSource:
        return ChipSource(chips_folder)

    def show(facts: ChipFacts) -> Sequence[Picture]:
        with lock:  # several threads begin at once, and one index will do
            shards = source()
        return renderings(shards.planes(facts.chip_id), SENSORS[sensor], model.pictures, model.picture_side)

    def give(facts: ChipFacts, judge: Judge) -> Sequence[Pair]:
        with lock:  # templates draw by one generator of random numbers, seeded for each chip
            (written,) = templates.generate([facts], judge)
        return [one.pair for one in written.judged if one.verdict.state == SUPPORTED and not one.pair.follows]

    if params.generator == "transformers":
        from tasks.generators.in_process import InProcessGenerator

        return InProcessGenerator(model, seed, count, show, give)
    from tasks.generators.served import ServedGenerator

    return ServedGenerator(model, seed, count, show, give, is_internlm=params.generator == "internlm")


def drawn_count(mean: float, of: str) -> int:
    """How many pairs one chip gets, so that all of them together have `mean` on average; at least one."""
    low = math.floor(mean)
    return max(1, low + (stable_hash(f"pairs/{of}") / 2**64 < mean - low))
