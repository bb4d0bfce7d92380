"""Pairs about series from templates: what changed and where, which image shows most, and what a radar adds.

Only what the facts tell for certain is asked, by the very question that the verifier reads; of several answers the one
that was asked for least so far comes first, so that no answer is the answer to all.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from tasks.core.code import code
from tasks.dialogue.pairs import Judged, Pair, Provenance, Verdict, Written
from tasks.dialogue.series.facts import SeriesFacts
from tasks.dialogue.series.reading import UNKNOWN, Asked, said
from tasks.dialogue.series.verifier import Cannot, truth
from tasks.earth.grid import stable_hash
from tasks.earth.sensors import SENSORS
from tasks.earth.series_measures import INDEX
from tasks.earth.series_params import SeriesParams
from tasks.earth.spectral_rules import CLASSES
from tasks.generators.templates.voice import Voice

OPTICAL = (INDEX, *CLASSES)
"""What only optical images tell."""
BACKSCATTER = tuple(
    dict.fromkeys(
        band.common_name
        for sensor in SENSORS.values()
        for band in sensor.bands
        if sensor.polarisations and sensor.unit_of(band.name) == "dB"
    )
)[:2]
"""What only a radar tells."""
WAYS = {+1: "highest", -1: "lowest"}
WORDS = {
    "change": (
        ("Did the {q} increase, decrease or stay about the same from the first image to the last?",
         "How did the {q} change from the first image to the last?"),
        ("The {q} {a} from the first image to the last.",),
    ),
    "where": (
        ("In which part of the area did the {q} {way} most from the first image to the last?",
         "Where did the {q} {way} most from the first image to the last?"),
        ("It did so most in the {a} of the area.", "That was most so in the {a} of the area."),
    ),
    "which": (
        ("Which of the images shows the {way} {q}?", "Which image has the {way} {q}?"),
        ("The {a} image shows the {way} {q}.", "The {way} {q} is that of the {a} image."),
    ),
    "date": (
        ("The images were taken on {dates}. On which date was the {q} {way}?",),
        ("The {q} was {way} on {a}.",),
    ),
    "radar": (
        ("Which of the images was taken by a radar?", "Which image is a radar image?"),
        ("The {a} image was taken by a radar.",),
    ),
    "taken": (
        ("Which of the images was taken {way}?", "Which image was taken {way}?"),
        ("The {a} image was taken {way}.",),
    ),
    "place": (
        ("In which part of the area is the {q} {way}?", "Where in the area is the {q} {way}?"),
        ("The {q} is {way} in the {a} of the area.",),
    ),
    "same-place": (
        ("Is the part of the area with the {way} {q} also the one with the {way2} {q2}?",),
        ("Yes, both are in the same part of the area.", "No, they are not in the same part of the area."),
    ),
    "smooth": (
        ("Is the open water of the optical image dark in the radar image?",
         "Does the radar image show the open water of the optical image dark?"),
        ("Yes, the open water is dark in the radar image.", "No, the open water is not dark in the radar image."),
    ),
}  # fmt: skip
"""Kind -> questions, and answers in a sentence."""


class Option(NamedTuple):
    """A question that can be asked, and its answer by key."""

    asked: Asked
    answer: str


class SeriesGenerator:
    """Writes pairs about series, from the first to the last in their order."""

    def __init__(self, params: SeriesParams) -> None:
        """With nothing asked yet."""
        self._params = params
        self._used: Counter[tuple[str, str]] = Counter()
        """Times that a kind was answered so."""
        self.provenance = Provenance("template", prompt_hash=code(__name__)[:16], seed=params.seed)

    def generate(
        self, series: Iterable[SeriesFacts], judge: Callable[[SeriesFacts, Sequence[Pair]], list[Verdict]]
    ) -> Iterator[Written]:
        """What was written about each series, each pair with its verdict."""
        for facts in series:
            pairs = self.write(facts)
            verdicts = judge(facts, pairs)
            yield Written(
                facts.series_id, tuple(Judged(pair, verdict) for pair, verdict in zip(pairs, verdicts, strict=True))
            )

    def write(self, facts: SeriesFacts) -> list[Pair]:
        """The pairs about one series, `series.pairs` at most."""
        random = Random(stable_hash(f"{self._params.seed}/{facts.series_id}"))
        found = options(facts)
        kinds = sorted(found)
        random.shuffle(kinds)
        pairs: list[Pair] = []
        if random.random() < self._params.abstention:
            pairs += [_pair(one, facts, random, 0.0) for one in self._unknown(facts, random)]
        while kinds and len(pairs) < self._params.pairs:
            for kind in list(kinds):
                if len(pairs) >= self._params.pairs:
                    break
                one = self._rarest(kind, found[kind], random)
                found[kind].remove(one)
                self._used[kind, one.answer] += 1
                pairs.append(_pair(one, facts, random, self._params.short_answers))
                if not found[kind] or kind in ONCE:
                    kinds.remove(kind)
        return pairs

    def _rarest(self, kind: str, some: Sequence[Option], random: Random) -> Option:
        least = min(self._used[kind, one.answer] for one in some)
        rarest = [one for one in some if self._used[kind, one.answer] == least]
        return rarest[int(random.random() * len(rarest))]

    def _unknown(self, facts: SeriesFacts, random: Random) -> list[Option]:
        """What none of the images, or not all of them by one sensor, can tell."""
        untold = [name for name in (*OPTICAL, *BACKSCATTER) if name not in facts.shared]
        if not untold:
            return []
        return [Option(Asked("change", untold[int(random.random() * len(untold))]), UNKNOWN)]


ONCE = ("radar", "taken", "smooth", "same-place", "place", "date", "where")
"""Kinds that a series is asked one question of."""


def options(facts: SeriesFacts) -> dict[str, list[Option]]:
    """By kind, every question that the facts answer for certain."""
    out: dict[str, list[Option]] = {}
    for asked in _candidates(facts):
        try:
            answer, _ = truth(facts, asked)
        except Cannot:
            continue
        if answer != UNKNOWN:
            out.setdefault(asked.kind, []).append(Option(asked, answer))
    return out


def _candidates(facts: SeriesFacts) -> Iterator[Asked]:
    for quantity in facts.shared:
        yield Asked("change", quantity)
        for way in WAYS:
            yield Asked("where", quantity, way)
            yield Asked("which", quantity, way)
            dates = tuple(f"{image.taken:%Y-%m-%d}" for image in facts.images)
            yield Asked("date", quantity, way, dates=dates)
    if facts.kind != "sensors":
        return
    yield Asked("radar")
    yield Asked("smooth")
    if len({f"{image.taken:%Y-%m-%d}" for image in facts.images}) > 1:
        yield from (Asked("taken", way=way) for way in WAYS)
    radar = [name for image in facts.images if image.is_radar for name in image.cells]
    yield from (Asked("place", name, way) for name in radar for way in WAYS)
    if any(INDEX in image.cells for image in facts.images):
        yield from (Asked("same-place", name, way, INDEX, +1) for name in radar for way in WAYS)


def _pair(one: Option, facts: SeriesFacts, random: Random, short: float) -> Pair:
    asked, answer = one
    voice = Voice(random, short)
    questions, sentences = WORDS[asked.kind]
    way = {"taken": {+1: "last", -1: "first"}, "where": {+1: "increase", -1: "decrease"}}.get(asked.kind, WAYS)
    words = {
        "q": said(asked.quantity), "q2": said(asked.quantity2), "a": answer, "way": way.get(asked.way, ""),
        "way2": WAYS.get(asked.way2, ""), "dates": _listed(asked.dates),
    }  # fmt: skip
    question = voice.pick(questions).format(**words)
    if answer == UNKNOWN:
        return Pair(question, "This cannot be told from these images.", "series-untold")
    text = f"the {answer} image" if asked.kind in ("which", "radar", "taken") else answer
    if voice.whole:
        said_so = sentences[answer == "no"] if answer in ("yes", "no") else voice.pick(sentences)
        text = said_so.format(**words)
    return Pair(voice.question(question), text, f"series-{asked.kind}")


def _listed(dates: Sequence[str]) -> str:
    return f"{', '.join(dates[:-1])} and {dates[-1]}" if dates else ""
