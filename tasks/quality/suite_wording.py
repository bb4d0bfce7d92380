"""The suite of wording: plain pairs reworded by rules of its own, some that keep the meaning and some that change it.

The plain pairs are those of `tasks.quality.plain`; each rule takes one and says it otherwise. They know neither the
verifier nor the templates.
"""

import random
from collections.abc import Iterable, Iterator

from tasks.dialogue.facts import ChipFacts
from tasks.earth.grid import stable_hash
from tasks.quality import wording_amounts, wording_changed, wording_kept, wording_surface
from tasks.quality.cases import Case
from tasks.quality.known import Known
from tasks.quality.writing import Pen

WRITERS = (*wording_kept.WRITERS, *wording_amounts.WRITERS, *wording_surface.WRITERS, *wording_changed.WRITERS)


def suite(chips: Iterable[ChipFacts], seed: int = 0) -> Iterator[Case]:
    """All cases about the chips, in their order; the same for the same chips and seed."""
    for facts in chips:
        known = Known(facts)
        for writer in WRITERS:
            pen = Pen("wording", facts, random.Random(stable_hash(f"{seed}/{facts.chip_id}/{writer.__name__}")))
            writer(known, pen)
            yield from pen.cases
