"""The generator of pairs from templates: which kinds a chip is asked, and what of each."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tasks.core.code import code
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judge, Judged, Pair, Provenance, Written
from tasks.earth.grid import stable_hash
from tasks.generators.templates.balance import Balance
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.registry import ABSTENTION, KINDS
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

ROUNDS = 3
"""Questions of one kind that a chip gets at most, if other kinds have nothing to ask."""
TRIES = 4
"""Subjects of one kind that are tried until the balance of answers lets one through."""
LEAST = 0.02
"""Share of chips below which a kind is not preferred any further."""


@dataclass(frozen=True)
class Choice:
    """What the templates are asked for."""

    pairs: float
    """Pairs a chip; a fraction is a fixed share of the chips with one more."""
    seed: int = 0
    kinds: Sequence[str] = tuple(KINDS)
    abstention: float = 0.0
    """Share of pairs whose right answer is that it cannot be told."""
    short: float = 0.6
    """Share of answers that are a word or a few, and no sentence."""


class TemplateGenerator:
    """Writes pairs from templates. What is asked of a chip depends on the seed, its facts and the balance alone."""

    def __init__(self, choice: Choice, balance: Balance | None = None) -> None:
        """Without a balance, every answer is as good as another: for a chip alone."""
        self.choice, self.balance = choice, balance or Balance()
        self.kinds = [KINDS[name] for name in choice.kinds]
        # Kinds that few chips can be asked come first where they can, so that all kinds are asked about equally often.
        self._weights = [1 / max(LEAST, self.balance.kinds.get(kind.name, LEAST)) for kind in self.kinds]
        self._salts = [stable_hash(kind.name) for kind in self.kinds]
        self._random = Random()
        self.provenance = Provenance("template", prompt_hash=code(__name__)[:16], seed=choice.seed)

    def generate(self, chips: Iterable[ChipFacts], judge: Judge) -> Iterator[Written]:
        """What was written about each chip, each pair with its verdict; see `tasks.dialogue.generator`."""
        for facts in chips:
            pairs = self.write(facts)
            verdicts = judge(facts, pairs)
            judged = tuple(Judged(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True))
            yield Written(facts.chip_id, judged)

    def write(self, facts: ChipFacts) -> list[Pair]:
        """The pairs about one chip."""
        base = stable_hash(f"{self.choice.seed}/{facts.chip_id}")
        random = self._random
        random.seed(base)
        wanted = math.floor(self.choice.pairs) + (random.random() < self.choice.pairs % 1)
        abstains = random.random() < self.choice.abstention * wanted
        order = sorted((-math.log(1 - random.random()) / weight, place) for place, weight in enumerate(self._weights))
        view = View(facts, lambda kind, found: self._draw(kind, found, random))
        pairs: list[Pair] = []
        if abstains:
            pairs += self._say(ABSTENTION, ABSTENTION.find(view), view, base)
        left: dict[int, list[Found]] = {}
        for turn in range(ROUNDS):
            for _, place in order:
                room = wanted - len(pairs)
                if room <= 0:
                    return pairs
                kind = self.kinds[place]
                if turn == 0:
                    found = kind.find(view)
                    if len(found) > 1:
                        left[place] = found
                else:
                    found = left.get(place, [])
                if found:
                    # Each kind has random numbers of its own: what one draws changes nothing for the next.
                    pairs += self._said(kind, found, view, base + self._salts[place] + turn, room, pairs)
        return pairs

    def _said(
        self, kind: Kind, found: list[Found], view: View, seed: int, room: int, before: list[Pair]
    ) -> Sequence[Pair]:
        said = self._say(kind, found, view, seed)[:room]
        # A dialogue of one turn is none; and nothing is asked twice in the same words.
        if len(said) == 1 and kind.name == "dialogue":
            return ()
        asked = {pair.question for pair in before}
        return () if any(pair.question in asked for pair in said) else said

    def _say(self, kind: Kind, found: list[Found], view: View, seed: int) -> Sequence[Pair]:
        random = self._random
        random.seed(seed)
        one = self._draw(kind.name, found, random) if kind.balanced else found[int(random.random() * len(found))]
        return kind.say(one, view, Voice(random, self.choice.short)) if one else ()

    def _draw(self, kind: str, found: list[Found], random: Random) -> Found | None:
        """One of them that the balance lets through: its subject is drawn first, whatever the answer."""
        candidates = list(found)
        for _ in range(min(TRIES, len(candidates))):
            place = int(random.random() * len(candidates))
            one = candidates[place]
            if random.random() < self.balance.chance(kind, one.subject, one.answer):
                return one
            candidates[place] = candidates[-1]
            candidates.pop()
        return None
