"""Pairs from templates grounded in the labels: nothing is asked that the labels do not answer."""

import random
from collections.abc import Callable, Iterator, Sequence

from tasks.core.code import code
from tasks.dialogue.facts import MARGIN, SHARES, ChipFacts, Draft, share_name
from tasks.earth.grid import stable_hash

Writer = Callable[[ChipFacts, random.Random], list[Draft]]


class TemplateGenerator:
    """Writes up to `pairs` pairs a chip, spread over the question types that its labels allow."""

    name = "template"

    def __init__(self, pairs: int, seed: int) -> None:
        self.pairs = pairs
        self.seed = seed
        self.prompt_hash = code(__name__)[:16]

    def generate(self, subjects: Sequence[ChipFacts]) -> Iterator[list[Draft]]:
        """Drafts for each subject; what is asked depends on the seed and the chip's id alone."""
        for subject in subjects:
            rng = random.Random(stable_hash(f"{self.seed}/{subject.chip_id}"))
            by_type = [drafts for writer in WRITERS if (drafts := writer(subject, rng))]
            rng.shuffle(by_type)
            picked: list[Draft] = []
            while any(by_type) and len(picked) < self.pairs:
                picked += [drafts.pop() for drafts in by_type if drafts]
            yield picked[: self.pairs]


def presence(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Is there X? Yes and no as often as the labels allow."""
    there = [name for name, label in subject.areas.items() if (label.fraction or 0) >= 2 * MARGIN]
    there += [name for name in subject.objects if name not in subject.areas]
    gone = subject.absent(tags=False)
    pairs = []
    for names, answer in ((there, "yes"), (gone, "no")):
        for name in rng.sample(names, min(2, len(names))):
            claim = {"label": name, "scope": "chip", "present": answer == "yes"}
            pairs.append(Draft(f"Is there any {name} in this image?", answer, "presence", claim, (name,)))
    rng.shuffle(pairs)
    return pairs


def nearby(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Is there X in or around the image? For tags, which hold somewhere in a footprint around the chip."""
    there, gone = list(subject.tags), subject.absent(tags=True)
    pairs = []
    for names, answer in ((there, "yes"), (gone, "no")):
        for name in rng.sample(names, min(2, len(names))):
            claim = {"label": name, "scope": "around", "present": answer == "yes"}
            question = f"Is there any {name.lower()} in or around this image?"
            pairs.append(Draft(question, answer, "nearby", claim, (name,)))
    rng.shuffle(pairs)
    return pairs


def dominant(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """What covers most of the image? Only where one source describes all of it and the lead is clear."""
    shares = [(label.fraction or 0, name) for name, label in subject.areas.items()]
    if not subject.is_partition or not shares:
        return []
    second = shares[1][0] if len(shares) > 1 else 0.0
    if shares[0][0] - second < MARGIN * 2:
        return []
    name = shares[0][1]
    return [Draft("What covers most of this image?", name, "dominant", {"label": name}, (name,))]


def share(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """How much of the image is X? Not near a bound between two answers."""
    pairs = []
    for name, label in subject.areas.items():
        fraction = label.fraction or 0.0
        clear = all(abs(fraction - bound) >= MARGIN for bound, _ in SHARES)
        if clear and fraction >= 2 * MARGIN:
            answer = share_name(fraction)
            question = f"How much of this image is {name}?"
            pairs.append(Draft(question, answer, "share", {"label": name, "share": answer}, (name,)))
    rng.shuffle(pairs)
    return pairs[:2]


def comparison(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Is there more X than Y? Yes and no with equal chance, never between near equals."""
    if len(subject.areas) < 2:
        return []
    more, less = rng.sample(list(subject.areas.values()), 2)
    difference = (more.fraction or 0) - (less.fraction or 0)
    if abs(difference) < 2 * MARGIN:
        return []
    answer = "yes" if difference > 0 else "no"
    claim = {"more": more.name, "less": less.name, "holds": answer == "yes"}
    question = f"Is there more {more.name} than {less.name} in this image?"
    return [Draft(question, answer, "comparison", claim, (more.name, less.name))]


def position(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Where is X? Only labels small enough to lie somewhere, and off the centre."""
    pairs = []
    for name, label in subject.areas.items():
        if label.position and label.position != "centre" and 2 * MARGIN <= (label.fraction or 0) <= 0.5:
            question = f"In which part of this image does the {name} lie?"
            claim = {"label": name, "position": label.position}
            pairs.append(Draft(question, label.position, "position", claim, (name,)))
    rng.shuffle(pairs)
    return pairs[:1]


def count(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """How many mapped areas, or points, of X? Only where features were counted."""
    pairs = []
    points = {name: label for name, label in subject.objects.items() if label.kind == "point"}
    for name, label in {**points, **subject.areas}.items():
        if label.count and label.count <= 9:
            what = "areas" if name in subject.areas else "points"
            question = f"How many mapped {what} of {name} does this image show?"
            claim = {"label": name, "count": label.count}
            pairs.append(Draft(question, str(label.count), "count", claim, (name,)))
    rng.shuffle(pairs)
    return pairs[:1]


def change(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Did X happen here? From labels of change."""
    pairs = []
    for source in subject.used:
        for name in source.change:
            label = subject.changes.get(name)
            if label is None and not source.can_deny(name):
                continue
            if label is not None and label.fraction is not None and label.fraction < 2 * MARGIN:
                continue
            answer = "no" if label is None else "yes"
            question = f"Was there {name} in this area?"
            pairs.append(Draft(question, answer, "change", {"label": name, "happened": answer == "yes"}, (name,)))
    rng.shuffle(pairs)
    return pairs


def listing(subject: ChipFacts, rng: random.Random) -> list[Draft]:
    """Which kinds of cover are there? The labels of a complete source, the largest first."""
    names = [name for name, label in subject.areas.items() if (label.fraction or 0) >= 2 * MARGIN]
    doubtful = any(0 < abs((label.fraction or 0) - 2 * MARGIN) < MARGIN / 2 for label in subject.areas.values())
    if not subject.is_partition or doubtful or not names:
        return []
    answer = ", ".join(names)
    question = "Which kinds of cover does this image show, the largest first?"
    return [Draft(question, answer, "list", {"labels": names}, tuple(names))]


WRITERS: tuple[Writer, ...] = (presence, nearby, dominant, share, comparison, position, count, change, listing)
