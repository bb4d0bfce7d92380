"""The suite of facts: true statements about chips in wordings of its own, and their corruptions.

It is written by rules that know neither the verifier nor the templates. What is left out: whatever two careful readers
of the labels could see differently (tasks/quality/known.py has the margins).
"""

import random
from collections.abc import Iterable, Iterator

from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash
from tasks.quality import (
    facts_counts,
    facts_cover,
    facts_invented,
    facts_measures,
    facts_metadata,
    facts_pixels,
    facts_places,
)
from tasks.quality.cases import Case
from tasks.quality.known import Known
from tasks.quality.writing import Pen

WRITERS = (
    *facts_cover.WRITERS, *facts_invented.WRITERS, *facts_measures.WRITERS, *facts_counts.WRITERS,
    *facts_places.WRITERS, *facts_metadata.WRITERS, *facts_pixels.WRITERS,
)  # fmt: skip


def suite(chips: Iterable[ChipFacts], seed: int = 0) -> Iterator[Case]:
    """All cases about the chips, in their order; the same for the same chips and seed."""
    for facts in chips:
        known = Known(facts)
        for writer in WRITERS:
            pen = Pen("facts", facts, random.Random(stable_hash(f"{seed}/{facts.chip_id}/{writer.__name__}")))
            writer(known, pen)
            yield from pen.cases
