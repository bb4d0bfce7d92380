"""What a model was taught, kept beside its weights: sensors, kinds of question, words. A question outside is answered
with that, not with whatever a model says to what it has never been asked. No torch here.

`limits.json` is written with a stage's checkpoint, from its mixture and from the limits of the checkpoint it began
with. Where it began with weights whose training is not on record, nobody knows what it was not taught, and nothing is
refused.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tasks.core.stage import read_json, write_json
from tasks.dialogue.kinds import is_sentence
from tasks.earth.display_sensors import PICTURES
from tasks.vlm.samples import Sample, bare_question
from tasks.vlm.taught import MOST_ANSWERS, Kind, Shown, choices, example
from tasks.vlm.wording import ASKING, COVERED, Wording, listed

LIMITS_FILE = "limits.json"
SCORES_FILE = "scores.json"
EXAMPLES = 6
"""Questions that a refusal gives as examples."""


@dataclass(frozen=True)
class Limits:
    """What a model was taught."""

    sensors: Mapping[str, Mapping[str, Shown]]
    """By name, then by modality."""
    images: int
    """Most images of one question."""
    kinds: Mapping[str, Kind]
    """By type of question."""
    wording: Wording
    open: bool = False
    """Whether it began with weights whose training is not on record."""
    scores: Mapping[str, Any] | None = None
    """Of stage `evaluate`, where the model was evaluated."""

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> "Limits":
        """What the samples of a mixture teach."""
        sensors: dict[str, dict[str, Shown]] = defaultdict(dict)
        questions: dict[str, Counter[tuple[str, bool]]] = defaultdict(Counter)
        answers: dict[str, Counter[str]] = defaultdict(Counter)
        pairs: dict[tuple[str, str], None] = {}
        images = 0
        for sample in samples:
            images = max(images, len(sample.images))
            for image in sample.images:
                before = sensors[image.sensor].get(image.modality, Shown((), 0))
                bands = tuple(dict.fromkeys((*before.bands, *image.bands)))
                sensors[image.sensor][image.modality] = Shown(bands, before.samples + 1)
            for turn, (kind, (question, answer)) in enumerate(zip(sample.question_types, sample.turns, strict=True)):
                asked = bare_question(question)
                questions[kind][asked, turn > 0 or is_sentence(answer)] += 1
                if len(answers[kind]) <= MOST_ANSWERS and not is_sentence(answer):
                    answers[kind][answer] += 1
                pairs[asked, answer] = None
        kinds = {
            kind: Kind(sum(asked.values()), example(asked), choices(answers[kind]))
            for kind, asked in sorted(questions.items())
        }
        return cls(sensors, images, kinds, Wording.of(pairs))

    @classmethod
    def load(cls, folder: Path) -> "Limits | None":
        """Those of a checkpoint, with its scores if they lie there too; None where nobody wrote them down."""
        if not (folder / LIMITS_FILE).is_file():
            return None
        content = read_json(folder / LIMITS_FILE)
        sensors = {
            name: {modality: Shown(tuple(one["bands"]), one["samples"]) for modality, one in shown.items()}
            for name, shown in content["sensors"].items()
        }
        kinds = {
            name: Kind(one["count"], one["example"], tuple(one["answers"])) for name, one in content["kinds"].items()
        }
        scores = read_json(folder / SCORES_FILE) if (folder / SCORES_FILE).is_file() else None
        wording = Wording.from_json(content["wording"])
        return cls(sensors, content["images"], kinds, wording, content["open"], scores)

    def save(self, folder: Path) -> None:
        """Put them beside the weights; scores lie in a file of their own."""
        write_json(folder / LIMITS_FILE, self.as_json())

    def as_json(self) -> dict[str, Any]:
        """As they stand in limits.json."""
        return {
            "sensors": {
                name: {one: asdict(value) for one, value in shown.items()} for name, shown in self.sensors.items()
            },
            "images": self.images,
            "kinds": {name: asdict(kind) for name, kind in self.kinds.items()},
            "wording": self.wording.as_json(),
            "open": self.open,
        }

    def for_people(self) -> dict[str, Any]:
        """For a page or a client: `as_json` without the words, with examples, lines and the scores."""
        content = {name: value for name, value in self.as_json().items() if name != "wording"}
        return {**content, "scores": self.scores, "examples": self.examples, "lines": list(self.lines())}

    def joined(self, before: "Limits") -> "Limits":
        """What was taught before, and this."""
        sensors = {name: dict(shown) for name, shown in before.sensors.items()}
        for name, shown in self.sensors.items():
            for modality, one in shown.items():
                old = sensors.setdefault(name, {}).get(modality, Shown((), 0))
                bands = tuple(dict.fromkeys((*old.bands, *one.bands)))
                sensors[name][modality] = Shown(bands, old.samples + one.samples)
        kinds = dict(before.kinds)
        for name, kind in self.kinds.items():
            old_kind = kinds.get(name, Kind(0, "", ()))
            known = sorted({*old_kind.answers, *kind.answers}) if kind.answers and old_kind.answers else ()
            answers = kind.answers if name not in kinds else tuple(known[: MOST_ANSWERS + 1])
            shown_answers = answers if len(answers) <= MOST_ANSWERS else ()
            kinds[name] = Kind(kind.count + old_kind.count, kind.example, shown_answers)
        return Limits(
            sensors,
            max(self.images, before.images),
            dict(sorted(kinds.items())),
            self.wording.joined(before.wording),
            self.open or before.open,
        )

    def scored(self, scores: Mapping[str, Any] | None) -> "Limits":
        """The same with the scores of an evaluation."""
        return self if scores is None else replace(self, scores=scores)

    def refusal(self, question: str, images: Sequence[tuple[str, str]]) -> str | None:
        """What to answer to a question that the model was not taught; None to one that it may be asked.

        Args:
            question: with or without tags and `<image>`.
            images: sensor and modality of each image of the conversation.
        """
        if self.open:
            return None
        reason = self._unseen(images) or self._untaught(question)
        return f"{reason} {self.closing}" if reason else None

    def _unseen(self, images: Sequence[tuple[str, str]]) -> str | None:
        seen = {modality for shown in self.sensors.values() for modality in shown}
        for sensor, modality in images:
            # A display picture has no sensor that a model could know: who was taught true colour may be shown it.
            taught = seen if sensor in PICTURES else self.sensors.get(sensor, {})
            if modality not in taught:
                return f"This model was not trained on images of {sensor} shown as {modality}."
        if len(images) > self.images:
            return f"This model was shown {_times(self.images)} at a time, and {len(images)} images are given."
        return None

    def _untaught(self, question: str) -> str | None:
        unknown = self.wording.unknown(question)
        if topics := [word for word in unknown if word not in ASKING]:
            return f"This model was not taught about {listed(topics)}."
        if unknown or self.wording.covered(question) < COVERED:
            return "This model was not taught questions like this one."
        return None

    @property
    def closing(self) -> str:
        """One sentence: what it was trained on, and what it can be asked."""
        return f"It knows images of {self.seen}. Ask it, for example: {' '.join(self.examples)}"

    @property
    def examples(self) -> list[str]:
        """A question of some kinds: first those that it answers better than its best control, then the frequent."""

        def order(name: str) -> tuple[bool, int, str]:
            score: Any = (self.scores or {}).get("by_type", {}).get(name, {})
            best = best_control(score)
            return best is None or score["accuracy"] <= best, -self.kinds[name].count, name

        return [self.kinds[name].example for name in sorted(self.kinds, key=order)[:EXAMPLES]]

    @property
    def seen(self) -> str:
        """Sensors with their modalities, for people."""
        return ", ".join(f"{name} ({', '.join(sorted(shown))})" for name, shown in sorted(self.sensors.items()))

    def lines(self) -> Iterator[str]:
        """All of it, for people, a line each: sensors, kinds of question with an example, scores."""
        yield f"Trained on images of {self.seen}; {_times(self.images)} at a time."
        if self.open:
            yield "It began with published weights; what those were taught is not on record, so nothing is refused."
        for name, kind in self.kinds.items():
            score = self.score_of("by_type", name)
            chosen = f" [{', '.join(kind.answers)}]" if kind.answers else ""
            yield f"  {name} ({kind.count} in training{f'; {score}' if score else ''}): {kind.example}{chosen}"
        if overall := self.score_of("overall"):
            yield f"On held-out questions: {overall}."

    def brief(self) -> Iterator[str]:
        """The same in a few lines."""
        lines = list(self.lines())
        yield lines[0]
        yield f"Taught {len(self.kinds)} kinds of question: {', '.join(self.kinds)}."
        yield from (line for line in lines[1:] if not line.startswith("  "))

    def score_of(self, *where: str) -> str:
        """`59.2 % right of 834, beside 54.4 %`, the best control's; empty where there is none."""
        found: Any = self.scores or {}
        for name in where:
            found = found.get(name, {})
        if not isinstance(found.get("accuracy"), float):
            return ""
        best = best_control(found)
        beside = f", the best control {best:.1%}" if best is not None else ""
        return f"{found['accuracy']:.1%} right of {found['n']}{beside}"


NO_CONTROL = ("accuracy", "n", "chips", "groups")


def best_control(score: Mapping[str, Any]) -> float | None:
    """The highest share that a score stands beside: majority, and every control that was asked; None if none was."""
    if isinstance(over := score.get("over_best"), Mapping):
        return float(over["score"])
    beside = [value for name, value in score.items() if name not in NO_CONTROL and type(value) is float]
    return max((value for value in beside if 0 <= value <= 1), default=None)


def _times(images: int) -> str:
    return "one image" if images == 1 else f"up to {images} images"
