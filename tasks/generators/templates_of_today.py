"""Templates as a `PairGenerator`."""

from collections.abc import Iterable, Iterator

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import SUPPORTED, Judge, Judged, Pair, Provenance, Verdict, Written
from tasks.dialogue.templates import TemplateGenerator as Drafts


class TemplateGenerator:
    """Writes up to so many pairs a chip."""

    def __init__(self, pairs_per_chip: float, seed: int) -> None:
        self._drafts = Drafts(round(pairs_per_chip), seed)
        self.provenance = Provenance("template", prompt_hash=self._drafts.prompt_hash, seed=seed)

    def generate(self, chips: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        """Pairs of each chip."""
        for facts in chips:
            (drafts,) = self._drafts.generate([facts])
            pairs = [Pair(d.question, d.answer, d.question_type, d.labels_used) for d in drafts]
            verdicts = judge(facts, pairs)
            yield Written(facts.chip_id, tuple(Judged(p, v) for p, v in zip(pairs, verdicts, strict=True)))


def supported_pairs(templates: TemplateGenerator, facts: ChipFacts) -> list[Pair]:
    """True pairs about a chip, to be worded anew: what templates write is true by construction."""
    (written,) = templates.generate([facts], lambda _, pairs: [Verdict(SUPPORTED)] * len(pairs))
    return [one.pair for one in written.judged if one.verdict.state == SUPPORTED]
