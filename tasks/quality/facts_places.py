"""Cases about where: position, adjacency, boxes, and where something changed."""

from typing import Any

import numpy as np

from tasks.dialogue import boxes as box_text
from tasks.dialogue.facts import Label
from tasks.earth.label_masks import Box
from tasks.quality import words
from tasks.quality.known import FAR, Known, pick
from tasks.quality.writing import Pen, Statement, contradict, flip, flip_sentence, tell

WHERE = (
    "Where {x:is} the {x}?", "In which part of this image {x:does} the {x} lie?",
    "{x:Does} the {x} lie in which part of the scene?",
    "In what part of the picture can the {x} be found?", "Whereabouts in the image {x:is} the {x} located?",
    "What is the location of the {x}?",
)  # fmt: skip
IN = (
    "{place}",
    "{place}.",
    "In the {place}.",
    "In the {place} of the image.",
    "The {x} {x:lie} in the {place}.",
    "It is in the {place}.",
)


def position(known: Known, pen: Pen) -> None:
    """Where does X lie? And the opposite."""
    for label in pick(pen.draw, [a for a in known.areas if words.known(a.name)], 3):
        right = known.placed(label)
        if right is None:
            continue
        noun = pen.draw.choice([n for n in known.names(label.name) if not n.plural] or list(known.names(label.name)))
        gaps: dict[str, Any] = {"x": noun}
        claim = {"is": "position", "label": label.name, "position": right}
        pen.write("position", "position", WHERE, IN, claim, True, place=pen.draw.choice(words.PLACES[right]), **gaps)
        if right not in words.OPPOSITE or not known.certain(label):
            continue  # elsewhere may be more of it
        wrong = words.OPPOSITE[right]
        other = {"is": "position", "label": label.name, "position": wrong}
        pen.write(
            "flipped direction", "position", WHERE, IN, other, False, place=pen.draw.choice(words.PLACES[wrong]), **gaps
        )
        asks = (
            "{x:Is} the {x} in the {place} of the image?",
            "{x:Does} the {x} lie in the {place}?",
            "Can the {x} be seen in the {place}?",
        )
        for place, truth in ((right, True), (wrong, False)):
            it = Statement(
                "position", {"is": "position", "label": label.name, "position": place},
                {"is": "not position", "label": label.name, "position": place}, truth, asks,
                ("the {x} {x:lie} in the {place}.", "it is in the {place}."), ("it is not in the {place}.",
                "the {x} {x:lie} elsewhere."),
                {**gaps, "place": pen.draw.choice(words.PLACES[place])},
            )  # fmt: skip
            tell(pen, "position", it)
            flip(pen, "flipped direction", it)


TOUCHES = (
    "{x:Is} the {x} next to the {y}?", "{x:Does} the {x} border the {y}?", "{x:Is} {x} adjacent to {y} in this image?",
    "Do {x} and {y} touch each other?", "{x:Does} the {x} share a border with the {y}?",
    "Are {x} and {y} neighbours in this scene?",
)  # fmt: skip
TOUCH = ("{x} and {y} border each other.", "the {x} {x:is} next to the {y}.", "they are adjacent.")
APART = ("{x} and {y} do not border each other.", "the {x} {x:is} not next to the {y}.", "they are not adjacent.")


def adjacency(known: Known, pen: Pen) -> None:
    """Does X touch Y? Only where they clearly do, or are clearly apart in a source that tells all."""
    areas = [a for a in known.areas if words.known(a.name)]
    if len(areas) < 2:
        return
    for _ in range(3):
        one, other = pen.draw.sample(areas, 2)
        gap = known.distance(one, other)
        if gap is None or gap < 0.5 or one.source != other.source or words.related(one.name, other.name):
            continue
        touching = gap == 1 and known.contact(one, other) >= 4
        if not touching and (gap < FAR or not known.certain(one)):
            continue
        mass = [known.mass(label.name) for label in (one, other)]
        claim = {"is": "touching", "label": one.name, "other": other.name}
        opposite = {"is": "apart", "label": one.name, "other": other.name}
        it = Statement("adjacency", claim, opposite, touching, TOUCHES, TOUCH, APART, {"x": mass[0], "y": mass[1]})
        tell(pen, "adjacency", it)
        flip(pen, "wrong adjacency", it)
        flip_sentence(pen, "wrong adjacency", it)
        contradict(pen, "contradicting explanation", it)


def text_of(several: list[Box]) -> str:
    """Boxes as the project writes them."""
    table = np.array([[(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.0] for x1, y1, x2, y2 in several])
    return box_text.write(table)


def moved(box: Box, pen: Pen, others: tuple[Box, ...]) -> Box | None:
    """The same box elsewhere, where it covers no tenth of any true one; None if no such place was found."""
    width, height = box[2] - box[0], box[3] - box[1]
    for _ in range(60):
        left, top = pen.draw.random() * (1 - width), pen.draw.random() * (1 - height)
        new = (left, top, left + width, top + height)
        if all(overlap(new, other) < 0.1 for other in others):
            return new
    return None


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    size = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other))
    return width * height / (size - width * height)


GROUND = (
    "Give the bounding box of the {x}.", "Where is the {x}? Answer with a box.", "Locate the {x} with bounding boxes.",
    "Draw a box around each mapped area of {x}.", "What are the box coordinates of the {x}?",
    "Mark the {x} in the image.",
)  # fmt: skip
GROUNDED = ("{boxes}", "{boxes}.", "The {x} {x:is} at {boxes}.", "Here: {boxes}", "It is at {boxes}.")
REFER = (
    "What lies in {boxes}?",
    "What is at {boxes}?",
    "Which class is in the region {boxes}?",
    "What does the box {boxes} contain?",
    "What kind of cover is inside {boxes}?",
)
REFERRED = ("{x}", "{x}.", "It is {x}.", "The box contains {x}.", "There {x:is} {x}.")


def grounding(known: Known, pen: Pen) -> None:
    """Boxes of mapped areas, and what lies in one."""
    boxed = [a for a in known.areas if a.boxes and words.known(a.name) and min(_sides(a)) >= 0.1]
    for label in pick(pen.draw, boxed, 2):
        noun = known.mass(label.name)
        right = list(label.boxes)
        claim: dict[str, Any] = {"is": "boxes", "label": label.name, "boxes": right}
        pen.write("grounding", "grounding", GROUND, GROUNDED, claim, True, x=noun, boxes=text_of(right))
        wrong = [moved(box, pen, label.boxes) for box in right]
        if known.certain(label) and all(box is not None for box in wrong):
            elsewhere = [box for box in wrong if box is not None]
            false = {"is": "boxes", "label": label.name, "boxes": elsewhere}
            pen.write("moved box", "grounding", GROUND, GROUNDED, false, False, x=noun, boxes=text_of(elsewhere))
        box = pen.draw.choice(right)
        inside = {"is": "in box", "label": label.name, "box": box}
        pen.write("referring", "referring", REFER, REFERRED, inside, True, x=noun, boxes=text_of([box]))
        for other in [a for a in boxed if a.source == label.source and not words.related(a.name, label.name)][:1]:
            if all(overlap(box, theirs) == 0 for theirs in other.boxes):
                claim = {"is": "in box", "label": other.name, "box": box}
                pen.write(
                    "swapped class",
                    "referring",
                    REFER,
                    REFERRED,
                    claim,
                    False,
                    x=known.names(other.name)[0],
                    boxes=text_of([box]),
                )


def _sides(label: Label) -> list[float]:
    return [side for x1, y1, x2, y2 in label.boxes for side in (x2 - x1, y2 - y1)]


WHERE_CHANGED = (
    "Where did the {x} take place?", "In which part of the image did {x} occur?", "Where {x:is} the {x} to be seen?",
    "Which part of the scene shows {x}?", "In what part of this area was there {x}?", "Locate the {x} in words.",
)  # fmt: skip
HAPPENED = (
    "Was there {x} in this area?",
    "Did {x} take place here?",
    "Has there been {x} in this scene?",
    "Does the area show {x}?",
    "Is there any sign of {x} in this image?",
)


CHANGE_POSITION_SAYS = ("{place}", "In the {place}.", "It took place in the {place}.")


def change(known: Known, pen: Pen) -> None:
    """What changed, and where."""
    there = [
        a for a in known.single.values() if a.kind == "change" and (a.fraction or 0) >= 0.03 and words.known(a.name)
    ]
    for label in pick(pen.draw, there, 2):
        right = known.placed(label)
        if right in words.OPPOSITE:
            for place, truth in ((right, True), (words.OPPOSITE[right], False)):
                claim = {"is": "change position", "label": label.name, "position": place}
                pen.write(
                    "change position" if truth else "flipped direction",
                    "change-position",
                    WHERE_CHANGED,
                    CHANGE_POSITION_SAYS,
                    claim,
                    truth,
                    x=known.names(label.name)[0],
                    place=pen.draw.choice(words.PLACES[place]),
                )
    gone = known.gone(change=True)
    for name, holds in [*[(a.name, True) for a in there[:2]], *[(n, False) for n in gone[:2]]]:
        it = Statement(
            "change", {"is": "changed", "label": name}, {"is": "not changed", "label": name}, holds, HAPPENED,
            ("there was {x}.", "{x} took place here.", "the area shows {x}."), ("there was no {x}.",
            "no {x} took place here.",
             "the area shows no {x}."), {"x": known.names(name)[0]},
        )  # fmt: skip
        tell(pen, "change", it)
        flip(pen, "answer flipped", it)
        flip_sentence(pen, "negation added" if holds else "negation removed", it)
        contradict(pen, "contradicting explanation", it)


WRITERS = (position, adjacency, grounding, change)
