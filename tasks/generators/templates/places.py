"""Where something lies, what lies beside it, what a box holds, and which boxes hold it."""

from tasks.dialogue import boxes as box_text
from tasks.dialogue.pairs import Pair
from tasks.earth.label_masks import Box
from tasks.earth.mask_cells import grown_over_sides as beside
from tasks.generators.templates.kind import Kind, yes_no
from tasks.generators.templates.nouns import noun
from tasks.generators.templates.view import LEAST_CELLS, View, box_cells, is_within
from tasks.generators.templates.voice import Found, Voice

WHERE = (
    "In which part of {i} {does} the {n.text} lie?",
    "Where in {i} {n.be} the {n.text}?",
    "Where in {i} {does} the {n.text} lie?",
    "In which part of {i} {n.be} the {n.text}?",
)
SAID_WHERE = ("The {n.text} {n.lie} in the {where} of {i}.", "The {n.text} {n.be} in the {where} of {i}.")
TOUCH = (
    "Does the {a} touch the {b} in {i}?",
    "Does the {a} border the {b} in {i}?",
    "Is the {a} next to the {b} in {i}?",
    "Is the {a} adjacent to the {b} in {i}?",
)
TOUCH_MANY = (
    "Do the {a} touch the {b} in {i}?",
    "Do the {a} border the {b} in {i}?",
    "Are the {a} next to the {b} in {i}?",
    "Are the {a} adjacent to the {b} in {i}?",
)
IN_BOX = (
    "What is in the region {box} of {i}?",
    "Which kind of cover does the region {box} of {i} show?",
    "What does the box {box} in {i} contain?",
    "Which class covers the region {box} of {i}?",
)
SAID_BOX = ("It contains {n.text}.", "The box contains {n.text}.", "The region is {n.text}.")
LARGEST = (
    "Where is the largest area of {n.text} in {i}? Give its bounding box.",
    "Give the bounding box of the largest area of {n.text} in {i}.",
    "Locate the largest mapped area of {n.text} in {i} with a box.",
)
ALL_OF = (
    "Give the bounding boxes of all mapped areas of {n.text} in {i}.",
    "Locate all mapped areas of {n.text} in {i} with boxes.",
    "Mark every mapped area of {n.text} in {i} with a bounding box.",
)
PURE = 0.9
"""Share of a region's cells that must be of one label for it to be what the region holds."""
LEAST_BOX = 1 / 16
"""Of a chip's side: a smaller box cannot be seen."""
REGIONS: tuple[Box, ...] = tuple(
    (column / 4, row / 4, (column + size) / 4, (row + size) / 4)
    for size in (1, 2)
    for row in range(5 - size)
    for column in range(5 - size)
)
REGION_CELLS = tuple((box, cells, cells.bit_count()) for box in REGIONS for cells in [box_cells(box)])
"""Quarters and sixteenths of a chip, and halves between them: each box, its cells, and how many they are."""


def find_position(view: View) -> list[Found]:
    """Labels that lie in one part of the chip, off its centre."""
    placed = ((label, view.place(label)) for label in view.clear)
    return [Found(label.name, place) for label, place in placed if place]


def say_position(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Where is X?"""
    n = noun(found.subject)
    question = voice.pick(WHERE).format(n=n, i=voice.image, does=n.do.lower())
    answer = found.answer
    if voice.whole:
        answer = voice.pick(SAID_WHERE).format(n=n, i=voice.image, where=answer)
    return (Pair(voice.question(question), answer, "position", (found.subject,)),)


def find_adjacency(view: View) -> list[Found]:
    """Pairs of labels of one source that share a border, or lie well apart."""
    out = []
    placed = [(label, cells) for label in view.clear[:6] if (cells := label.cells)]
    for place, (a, first) in enumerate(placed):
        near = beside(first)
        for b, second in placed[place + 1 :]:
            if a.source != b.source or (first & second).bit_count() > LEAST_CELLS:
                continue
            subject = "|".join(sorted((a.name, b.name)))
            if (near & second).bit_count() >= LEAST_CELLS:
                out.append(Found(subject, "yes", (a.name, b.name)))
            elif view.is_all(a) and view.is_all(b) and not beside(beside(beside(near))) & second:
                out.append(Found(subject, "no", (a.name, b.name)))
    return out


def say_adjacency(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Does X touch Y?"""
    first, second = (str(name) for name in (found.data if voice.coin() else found.data[::-1]))
    a, b = noun(first), noun(second)
    holds = found.answer == "yes"
    question = voice.pick(TOUCH_MANY if a.plural else TOUCH).format(a=a.text, b=b.text, i=voice.image)
    answer = yes_no(holds)
    if voice.whole:
        touch = ("touch" if a.plural else "touches") if holds else f"{a.do.lower()} not touch"
        answer = f"{answer.capitalize()}, the {a.text} {touch} the {b.text} in {voice.image}."
    return (Pair(voice.question(question), answer, "adjacency", (first, second)),)


def find_region_caption(view: View) -> list[Found]:
    """Regions that one label fills."""
    placed = [(label.name, cells) for label in view.clear[:6] if (cells := label.cells)]
    out = []
    for name, cells in placed:
        others = [other for other_name, other in placed if other_name != name]
        clean = tuple(
            box
            for box, inside, size in REGION_CELLS
            if (cells & inside).bit_count() >= PURE * size
            and all((other & inside).bit_count() <= (1 - PURE) * size for other in others)
        )
        if clean:
            out.append(Found("", name, (clean,)))
    return out


def say_region_caption(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """What does this box hold?"""
    regions: tuple[Box, ...] = found.data[0]  # type: ignore[assignment]
    box, n = box_as_text([voice.pick(regions)]), noun(found.answer)
    question = voice.pick(IN_BOX).format(box=box, i=voice.image)
    answer = voice.pick(SAID_BOX).format(n=n) if voice.whole else n.text
    return (Pair(voice.question(question), answer, "region-caption", (found.answer,)),)


def find_referring(view: View) -> list[Found]:
    """Labels whose largest feature stands out, by its box."""
    out = []
    for label in view.clear:
        if label.kind != "area" or not label.boxes or not is_within(label.boxes[0]) or not _is_seen(label.boxes[0]):
            continue
        sizes = [_size(box) for box in label.boxes]
        if label.count is not None and all(sizes[0] >= 1.5 * size for size in sizes[1:]):
            out.append(Found(label.name, box_as_text([label.boxes[0]])))
    return out


def say_referring(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Where is the largest X, as a box?"""
    n = noun(found.subject)
    question = voice.pick(LARGEST).format(n=n, i=voice.image)
    answer = f"The largest {n.text} {n.be} at {found.answer}." if voice.whole else found.answer
    return (Pair(question, answer, "referring", (found.subject,)),)


def find_grounding(view: View) -> list[Found]:
    """Labels with a few features, all of which have a box."""
    return [
        Found(label.name, box_as_text(label.boxes), (len(label.boxes),))
        for label in view.clear
        if 0 < len(label.boxes) <= 5
        and len(label.boxes) == label.count
        and all(is_within(box) and _is_seen(box) for box in label.boxes)
    ]


def say_grounding(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """All boxes of X."""
    n = noun(found.subject)
    question = voice.pick(ALL_OF).format(n=n, i=voice.image)
    answer = f"The {n.text} {n.be} at {found.answer}." if voice.whole else found.answer
    return (Pair(question, answer, "grounding", (found.subject,)),)


def box_as_text(boxes: list[Box] | tuple[Box, ...]) -> str:
    """Boxes in the form of this project, 0 to 1000: as `tasks.dialogue.boxes.write` gives them, without its arrays."""
    grid = box_text.FORMS[box_text.DEFAULT].grid
    each = (", ".join(str(round(edge * grid)) for edge in box) for box in boxes)
    return f"[{', '.join(f'[{numbers}]' for numbers in each)}]"


def _size(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _is_seen(box: Box) -> bool:
    return box[2] - box[0] >= LEAST_BOX and box[3] - box[1] >= LEAST_BOX


KINDS = (
    Kind("position", find_position, say_position),
    Kind("adjacency", find_adjacency, say_adjacency),
    Kind("region-caption", find_region_caption, say_region_caption),
    Kind("referring", find_referring, say_referring, balanced=False),
    Kind("grounding", find_grounding, say_grounding, balanced=False),
)
