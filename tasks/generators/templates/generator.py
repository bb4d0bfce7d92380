"""The generator of pairs from templates: which kinds a chip is asked, and what of each."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tasks.core.code import code
from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Judge, Judged, Pair, Provenance, Written
from tasks.earth.grid import stable_hash
from tasks.generators.templates.balance import BINARY, LEAST, Balance
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.registry import ABSTENTION, KINDS
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

DIALOGUE = "dialogue"
ROUNDS = 3
"""Questions of one kind that a chip gets at most, if other kinds have nothing to ask."""
ORDERS = 1024
"""Orders of the kinds, of which each chip has one."""


@dataclass(frozen=True)
class Choice:
    """What the templates are asked for."""

    pairs: float
    """Pairs a chip; a fraction is a fixed share of the chips with one more."""
    seed: int = 0
    kinds: Sequence[str] = tuple(KINDS)
    abstention: float = 0.0
    """Share of pairs whose right answer is that the image does not show it."""
    short: float = 0.6
    """Share of answers that are a word or a few, and no sentence."""


class TemplateGenerator:
    """Writes pairs from templates. What is asked of a chip depends on the seed, its facts and the balance alone."""

    def __init__(self, choice: Choice, balance: Balance | None = None) -> None:
        """Without a balance, every answer is as good as another: for a chip alone."""
        self.choice, self.balance = choice, balance or Balance()
        shares = self.balance.kinds
        self.kinds = [KINDS[name] for name in choice.kinds if not shares or shares.get(name)]
        """Those that any chip can be asked."""
        # Kinds that few chips can be asked come first where they can, so that all kinds are asked about equally often.
        self._waits = [max(LEAST, shares.get(kind.name, 1.0)) for kind in self.kinds]
        self._chances: dict[str, dict[tuple[str, str], float]] = {}
        for (name, subject), answers in self.balance.chances.items():
            of_kind = self._chances.setdefault(name, {})
            of_kind.update(((subject, answer), chance) for answer, chance in answers.items())
        self._random = Random()
        self._orders: dict[int, list[list[Kind]]] = {}
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
        self._random.seed(stable_hash(f"{self.choice.seed}/{facts.chip_id}"))
        random = self._random.random
        wanted = math.floor(self.choice.pairs) + (random() < self.choice.pairs % 1)
        abstains = random() < self.choice.abstention * wanted
        view, pairs = View(facts, self._draw), _Pairs(wanted)
        if abstains:
            unknown = self._one(ABSTENTION, ABSTENTION.find(view))
            pairs.add(ABSTENTION.say(unknown, view, self._voice()) if unknown else ())
        left: list[tuple[Kind, list[Found]]] = []
        for kind in self._order(wanted):
            if pairs.room <= 0:
                return pairs.all
            if found := view.found(kind.find):
                one = self._one(kind, found)
                pairs.add(kind.say(one, view, self._voice()) if one else ())
                if one and len(found) > 1:
                    left.append((kind, rest(one, found)))
        # A chip of which few kinds can be asked is asked more of each. Yes is then followed by no and no by yes, or the
        # answers of such chips, which have few classes, would outweigh the others'.
        for _ in range(1, ROUNDS):
            for kind, found in left:
                if pairs.room <= 0:
                    return pairs.all
                if one := self._one(kind, found):
                    pairs.add(kind.say(one, view, self._voice()))
                    found[:] = [] if one.answer in BINARY else rest(one, found)
        return pairs.all

    def _order(self, wanted: int) -> list[Kind]:
        """All kinds; those that are asked first, and most chips have room for no others, equally often each."""
        if wanted not in self._orders:
            self._orders[wanted] = [self._drawn(Random(number), wanted) for number in range(ORDERS)]
        return self._orders[wanted][int(self._random.random() * ORDERS)]

    def _drawn(self, random: Random, wanted: int) -> list[Kind]:
        waits = sorted((-math.log(1 - random.random()) * wait, place) for place, wait in enumerate(self._waits))
        order = [self.kinds[place] for _, place in waits]
        # A dialogue needs room for its turns.
        first = [kind for kind in order[:wanted] if kind.name == DIALOGUE]
        return first + [kind for kind in order if kind not in first] if first else order

    def _voice(self) -> Voice:
        return Voice(self._random, self.choice.short)

    def _one(self, kind: Kind, found: list[Found]) -> Found | None:
        if not found:
            return None
        return self._draw(kind.name, found) if kind.balanced else found[int(self._random.random() * len(found))]

    def _draw(self, kind: str, found: list[Found]) -> Found | None:
        """One of them, or none: as likely as their chances together, each in proportion to its own."""
        random, chance = self._random.random, self._chances.get(kind, {}).get
        own = [chance((subject, answer), 1.0) for subject, answer, _ in found]
        none = 1.0
        for value in own:
            none *= 1 - value
        if random() < none:
            return None
        place = random() * sum(own)
        for one, value in zip(found, own, strict=True):
            place -= value
            if place < 0:
                return one
        return found[-1] if found else None


def rest(one: Found, found: list[Found]) -> list[Found]:
    """What more can be asked after one: of yes and no, only the other answer."""
    if one.answer in BINARY:
        return [other for other in found if other.answer != one.answer]
    return [other for other in found if other is not one]


class _Pairs:
    """The pairs about one chip, as many as are wanted; nothing is asked twice in the same words."""

    __slots__ = ("_asked", "_types", "all", "room")

    def __init__(self, wanted: int) -> None:
        self.all: list[Pair] = []
        self.room = wanted
        self._asked: set[str] = set()
        self._types: dict[str, int] = {}

    def add(self, said: Sequence[Pair]) -> None:
        """Take pairs, or the turns of one dialogue as far as there is room for two of them at least."""
        if len(said) > 1:
            said = said[: self.room]
            if len(said) == 1:
                return
        for pair in said:
            kind, question = pair.question_type, pair.question
            number = self._types.get(kind, 0)
            if number >= ROUNDS or question in self._asked:
                return  # of a dialogue, what follows may refer to it
            self.all.append(pair)
            self.room -= 1
            self._asked.add(question)
            self._types[kind] = number + 1
