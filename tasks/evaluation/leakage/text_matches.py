"""Texts of a benchmark that training has too, once those that templates make are set aside.

Most remote sensing questions are made from templates: `is there more water than forest, yes` stands in two data sets by
chance. So a text counts only if it stands with few images, and if what it shares holds words in a row that few other
texts have; a list counts only if one of its names is rare, for their order is chance. A small data set shows too little
of its templates for that, so questions with short answers are a kind of their own: reported, but not counted as leaked.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tasks.evaluation.leakage import minhash
from tasks.evaluation.leakage.minhash import Evidence
from tasks.evaluation.leakage.sides import SideSample

COMMON = 3
"""What stands with more images than this, on either side, is a template and tells nothing of where it is from. So is a
text all whose shared shingles, or all of whose parts between commas, stand in more texts than this."""


@dataclass(frozen=True)
class Shared:
    """A question of the benchmark one of whose texts training has."""

    benchmark: str
    training: str
    """The sample with the nearest text."""
    kind: str
    """text or question."""
    distance: float
    """1 - Jaccard similarity of the shingles."""
    samples: int
    """Training samples that have it."""


class TextMatcher:
    """The benchmark's texts, past which training is streamed."""

    def __init__(self, questions: Sequence[SideSample]) -> None:
        self._samples: dict[Evidence, set[str]] = defaultdict(set)
        images: dict[str, set[str]] = defaultdict(set)
        for sample in questions:
            for one in _evidence(sample):
                self._samples[one].add(sample.id)
                images[one.subject].update(sample.images)
        self._texts = list(self._samples)
        self._shingles = [minhash.shingles(one.text) for one in self._texts]
        # Images of the benchmark, and texts of training, that have each shingle or part: as many as are needed to call
        # it common, no more.
        self._there: dict[str, set[str]] = defaultdict(set)
        for one, own in zip(self._texts, self._shingles, strict=True):
            for shingle in own | minhash.parts(one.text):
                self._there[shingle].update(sorted(images[one.subject])[: COMMON + 1])
        self._here: dict[str, set[str]] = {shingle: set() for shingle in self._there}
        self._repeated = {subject for subject, where in images.items() if len(where) > COMMON}
        self._images: dict[str, set[str]] = {subject: set() for subject in images}
        self._index = minhash.TextIndex([one.text for one in self._texts])
        self._nearest: dict[int, tuple[float, str, Evidence]] = {}
        self._count = Counter[int]()
        self.informative = len(set().union(*self._samples.values()))
        """Questions with a text long enough to be evidence."""
        self.templates = 0
        """Texts that training has too, but that tell nothing; known once `shared` was called."""

    def add(self, group: Sequence[SideSample]) -> None:
        """Look up the texts of some training samples."""
        evidence = [(sample, one) for sample in group for one in _evidence(sample)]
        for (sample, one), matches in zip(evidence, self._index.within([one.text for _, one in evidence]), strict=True):
            _few(self._images.get(one.subject), sample.images)
            for shingle in minhash.shingles(one.text) | minhash.parts(one.text):
                _few(self._here.get(shingle), (one.text,))
            for number, similarity in matches:
                if (one.kind, one.answer) != (self._texts[number].kind, self._texts[number].answer):
                    continue
                self._count[number] += 1
                found = (round(1 - similarity, 6), sample.id, one)
                self._nearest[number] = min(found, self._nearest.get(number, found), key=lambda near: near[:2])

    def shared(self) -> list[Shared]:
        """Every question with a text that training has, but for templates."""
        found = []
        self.templates = 0
        for number, (distance, training, one) in sorted(self._nearest.items()):
            if self._is_template(number, one):
                self.templates += 1
                continue
            for sample in sorted(self._samples[self._texts[number]]):
                found.append(Shared(sample, training, one.kind, distance, self._count[number]))
        return found

    def _is_template(self, number: int, near: Evidence) -> bool:
        own = self._texts[number].subject
        for subject in (own, near.subject):
            if subject in self._repeated or len(self._images.get(subject, ())) > COMMON:
                return True
        both = self._shingles[number] & minhash.shingles(near.text)
        listed = minhash.parts(self._texts[number].text)
        return self._are_common(both) or (len(listed) > 1 and self._are_common(listed))

    def _are_common(self, shingles: Iterable[str]) -> bool:
        return all(len(self._there[one]) > COMMON or len(self._here[one]) > COMMON for one in shingles)


def _few(seen: set[str] | None, more: Iterable[str]) -> None:
    """Add to a set until it is known to be common."""
    if seen is not None and len(seen) <= COMMON:
        seen.update(more)


def _evidence(sample: SideSample) -> list[Evidence]:
    """What of a sample can be recognised, each text once."""
    evidence = (minhash.evidence(question, answer) for question, answer in sample.turns)
    return list(dict.fromkeys(one for one in evidence if one is not None))
