"""Plain pairs: what the rules of wording start from, one short question and answer for each certain fact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tasks.dialogue.facts import Label
from tasks.quality import words
from tasks.quality.cases import Claim
from tasks.quality.known import APART, Known
from tasks.quality.writing import Pen


@dataclass(frozen=True)
class Plain:
    """A pair in its plainest words."""

    asked: str
    question: str
    answer: str
    claims: tuple[Claim, ...]


def present(known: Known) -> list[Label]:
    """Labels that are surely there and have a name."""
    return [label for label in known.here if words.known(label.name)]


def yes(known: Known, label: str) -> Plain:
    """That a label is there."""
    noun = known.names(label)[0]
    return Plain("presence", f"{noun:Is} there any {noun} in this image?", "yes", ({"is": "present", "label": label},))


def no(known: Known, label: str) -> Plain:
    """That a label is not there."""
    noun = known.names(label)[0]
    return Plain("absence", f"{noun:Is} there any {noun} in this image?", "no", ({"is": "absent", "label": label},))


def compared(known: Known, pen: Pen) -> tuple[Label, Label] | None:
    """Two labels of one source, the first of which clearly covers more; None if there are no such two."""
    areas = known.sized
    pairs = [
        (one, other)
        for one in areas
        for other in areas
        if one.source == other.source
        and (one.fraction or 0) - (other.fraction or 0) >= APART
        and not words.related(one.name, other.name)
    ]
    return pen.draw.choice(pairs) if pairs else None


def plain(known: Known, pen: Pen) -> list[Plain]:
    """Up to one pair of each kind."""
    out: list[Plain] = []
    for labels, write in (([a.name for a in present(known)], yes), (known.gone(), no)):
        out += [write(known, name) for name in pen.draw.sample(labels, min(1, len(labels)))]
    if both := compared(known, pen):
        one, other = both
        claims = ({"is": "more", "label": one.name, "than": other.name},)
        out.append(
            Plain(
                "comparison",
                f"Is there more {known.mass(one.name)} than {known.mass(other.name)} in this image?",
                "yes",
                claims,
            )
        )
        out.append(
            Plain(
                "comparison",
                f"Is there more {known.mass(other.name)} than {known.mass(one.name)} in this image?",
                "no",
                claims,
            )
        )
    for label in [a for a in known.areas if words.known(a.name)]:
        value = label.fraction or 0.0
        quarter = min(int(value * 4), 3)
        if label in known.sized and all(abs(value - bound) >= 0.05 for bound in (0.25, 0.5, 0.75)):
            answer = ("less than a quarter", "between a quarter and a half", "between a half and three quarters",
                      "more than three quarters")[quarter]  # fmt: skip
            claim: dict[str, Any] = {"is": "share", "label": label.name, "low": quarter / 4, "high": (quarter + 1) / 4}
            out.append(Plain("share", f"How much of this image is {known.mass(label.name)}?", answer, (claim,)))
        place = known.placed(label)
        if place is not None and not known.mass(label.name).plural:
            claim = {"is": "position", "label": label.name, "position": place}
            out.append(
                Plain(
                    "position", f"In which part of this image does the {known.mass(label.name)} lie?", place, (claim,)
                )
            )
    whole = [label.name for label in known.whole]
    if whole and all(map(words.known, whole)):
        listed: Sequence[Claim] = [{"is": "present", "label": name} for name in whole]
        answer = ", ".join(known.names(name)[0] for name in whole)
        out.append(Plain("multi-label", "Which kinds of land cover does this image show?", answer, tuple(listed)))
    return out
