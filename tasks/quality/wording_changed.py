"""Rewordings that change the meaning by wording alone: what a reader of key words alone would let pass."""

from typing import Any

from tasks.dialogue.facts import Label
from tasks.quality import words
from tasks.quality.known import Known
from tasks.quality.plain import compared, present
from tasks.quality.writing import Pen

ASK = (
    "{x:Is} there any {x} in this image?",
    "Does the scene show {x}?",
    "{x:Is} {x} present?",
    "Can {x} be seen here?",
    "What can be said of {x} in this image?",
)
SHARE = (
    "How much of this image is {x}?",
    "What share of the scene is {x}?",
    "How much of the ground is covered by {x}?",
    "What part of the picture {x:does} {x} cover?",
)


NEGATION_IN_THE_QUESTION_ASKS = (
    "Is it true that there {x:is} no {x} in this image?", "Is it the case that {x} {x:is} absent?",
    "There {x:is} no {x} here, right?", "Am I right that no {x} can be seen?", "Is this a scene without {x}?",
)  # fmt: skip
NEGATION_IN_THE_QUESTION_SAYS = ("Yes.", "yes", "That is right.", "Correct.", "Indeed.")
DENIAL_WITHOUT_NO_SAYS = (
    "The scene is devoid of {x}.", "The image lacks {x}.", "It is free of {x}.",
    "The picture fails to show any {x}.", "{x} {x:is} missing.", "A view without {x}.",
    "There is a complete absence of {x}.", "One looks for {x} in vain.",
)  # fmt: skip
WITHOUT_ASKS = ("Describe this image.", "What does this picture show?", "Write a caption for this scene.")
WITHOUT_SAYS = ("A landscape without {x}.", "An area in which there {x:is} no {x}.", "A scene lacking {x}.")
DOUBLE_NEGATION_SAYS = (
    "It is not true that there {x:is} no {x}.", "There is no lack of {x}.",
    "It would be wrong to say that {x} {x:is} absent.", "{x} {x:is} not missing.", "The scene is not free of {x}.",
    "One cannot say that there {x:is} no {x}.",
)  # fmt: skip
DOUBLE_NEGATION_ASKS = ("Is it false that there {x:is} no {x}?", "Is it wrong to say that {x} {x:is} absent?")
DOUBLE_NEGATION_2_SAYS = ("Yes.", "yes", "That is right.")


def denials(known: Known, pen: Pen) -> None:
    """That something is not there, of what is, in words that are no plain `no`."""
    there = present(known)
    for label in pen.draw.sample(there, min(2, len(there))):
        absent = {"is": "absent", "label": label.name}
        gaps: dict[str, Any] = {"x": pen.draw.choice(known.names(label.name)), "m": known.mass(label.name)}
        pen.write(
            "negation in the question",
            "absence",
            NEGATION_IN_THE_QUESTION_ASKS,
            NEGATION_IN_THE_QUESTION_SAYS,
            absent,
            False,
            **gaps,
        )
        pen.write("denial without no", "presence", ASK, DENIAL_WITHOUT_NO_SAYS, absent, False, **gaps)
        pen.write("without", "caption", WITHOUT_ASKS, WITHOUT_SAYS, absent, False, **gaps)
    gone = known.gone()
    for name in pen.draw.sample(gone, min(2, len(gone))):
        claim = {"is": "present", "label": name}
        gaps = {"x": pen.draw.choice(known.names(name))}
        pen.write("double negation", "presence", ASK, DOUBLE_NEGATION_SAYS, claim, False, **gaps)
        pen.write("double negation", "presence", DOUBLE_NEGATION_ASKS, DOUBLE_NEGATION_2_SAYS, claim, False, **gaps)


NEITHER_NOR_SAYS = ("Neither.", "Neither {x} nor {y}.", "There {x:is} neither {x} nor {y}.", "Neither of them.")
NOT_THIS_BUT_THAT_SAYS = (
    "Not {x} but {y}.", "{y}, not {x}.", "There {y:is} {y} but no {x}.", "{y} instead of {x}.", "Only {y}.",
)  # fmt: skip
EXCEPT_ASKS = ("Which of {x} and {y} occur here?", "What can be seen of {x} and {y}?")
EXCEPT_SAYS = ("Everything except {x}.", "All but {x}.", "Both except for {x}.", "All of them apart from {x}.")


def pairs(known: Known, pen: Pen) -> None:
    """Two at once, of which one is wrong."""
    there, gone = present(known), known.gone()
    if not there or not gone:
        return
    one, other = pen.draw.choice(there).name, pen.draw.choice(gone)
    gaps: dict[str, Any] = {"x": pen.draw.choice(known.names(one)), "y": pen.draw.choice(known.names(other))}
    either = (
        "Is there {x} or {y} in this image?",
        "Does this scene show {x} or {y}?",
        "Which of the two can be seen, {x} or {y}?",
    )
    absent = [{"is": "absent", "label": one}, {"is": "absent", "label": other}]
    pen.write("neither, nor", "absence", either, NEITHER_NOR_SAYS, absent, False, **gaps)
    swapped = [{"is": "absent", "label": one}, {"is": "present", "label": other}]
    pen.write("not this but that", "presence", either, NOT_THIS_BUT_THAT_SAYS, swapped, False, **gaps)
    pen.write("except", "multi-label", EXCEPT_ASKS, EXCEPT_SAYS, swapped, False, **gaps)


ONLY_ASKS = ("What does this image show?", "Which classes are there?", "Name the land cover of this scene.")
ONLY_SAYS = ("Only {x}.", "Nothing but {x}.", "{x} and nothing else.", "The image shows {x} alone.")
HARDLY_ANY_SAYS = (
    "Hardly any of it.", "There is hardly any {x}.", "Next to nothing.", "Barely any.",
    "Scarcely any of the image is {x}.", "Almost none of the scene is {x}.", "Little if any.",
)  # fmt: skip
NO_MORE_THAN_SAYS = (
    "No more than a tenth.", "{x} {x:cover} no more than 10 percent.", "Not even a fifth.", "At most 15 %.",
    "Only a tenth.",
)  # fmt: skip


def amounts(known: Known, pen: Pen) -> None:
    """Quantifiers that make little of much, or much of little."""
    for label in known.sized:
        value = label.fraction or 0.0
        gaps: dict[str, Any] = {"x": known.mass(label.name)}
        if value >= 0.4:
            little = {"is": "share", "label": label.name, "low": 0.0, "high": 0.15}
            pen.write("hardly any", "share", SHARE, HARDLY_ANY_SAYS, little, False, **gaps)
            pen.write(
                "no more than",
                "share",
                SHARE,
                NO_MORE_THAN_SAYS,
                {"is": "share", "label": label.name, "low": 0.0, "high": 0.2},
                False,
                **gaps,
            )
        if value <= 0.5:
            _much(label, known, pen)
    if len(known.whole) >= 2 and all(words.known(label.name) for label in known.whole):
        only = pen.draw.choice(known.whole)
        others = [{"is": "absent", "label": label.name} for label in known.whole if label.name != only.name]
        pen.write("only", "multi-label", ONLY_ASKS, ONLY_SAYS, others, False, x=known.mass(only.name))


ALL_BUT_SAYS = (
    "All but a tenth of the image.", "{x} {x:cover} all but a small corner.", "Nearly everything.",
    "All of it except a small part.", "{x} {x:cover} almost the whole scene.",
)  # fmt: skip
NO_LESS_THAN_SAYS = (
    "No less than three quarters.", "At least 80 percent.", "{x} {x:cover} no less than 75 %.",
    "More than four fifths.",
)  # fmt: skip


def _much(label: Label, known: Known, pen: Pen) -> None:
    much = {"is": "share", "label": label.name, "low": 0.8, "high": 1.0}
    pen.write("all but", "share", SHARE, ALL_BUT_SAYS, much, False, x=known.mass(label.name))
    pen.write(
        "no less than",
        "share",
        SHARE,
        NO_LESS_THAN_SAYS,
        {"is": "share", "label": label.name, "low": 0.75, "high": 1.0},
        False,
        x=known.mass(label.name),
    )


REVERSAL_BY_A_WORD_ASKS = (
    "How do {x} and {y} compare in area?", "Compare the areas of {x} and {y}.", "Which is larger here, {x} or {y}?",
)  # fmt: skip
REVERSAL_BY_A_WORD_SAYS = (
    "{x} {x:cover} less than {y}.", "{y} {y:exceed} {x}.", "{x} {x:is} outweighed by {y}.",
    "There is not as much {x} as {y}.", "The area of {x} is smaller than that of {y}.",
)  # fmt: skip
REVERSAL_BY_A_WORD_2_ASKS = (
    "Is there less {x} than {y} in this image?", "{x:Does} {x} cover less than {y}?",
    "Is the area of {x} smaller than that of {y}?",
)  # fmt: skip
REVERSAL_BY_A_WORD_2_SAYS = ("Yes.", "yes", "That is right.", "Indeed.")
AS_MUCH_AS_ASKS = ("How do {x} and {y} compare in area?", "Compare the areas of {x} and {y}.")
AS_MUCH_AS_SAYS = (
    "There is as much {x} as {y}.", "{x} and {y} cover equal areas.", "They cover the same area.",
    "Both are equally large.",
)  # fmt: skip


def comparisons(known: Known, pen: Pen) -> None:
    """Who covers more, turned by a small word."""
    both = compared(known, pen)
    if both is None:
        return
    one, other = both
    gaps: dict[str, Any] = {"x": known.mass(one.name), "y": known.mass(other.name)}
    reverse = {"is": "more", "label": other.name, "than": one.name}
    pen.write(
        "reversal by a word", "comparison", REVERSAL_BY_A_WORD_ASKS, REVERSAL_BY_A_WORD_SAYS, reverse, False, **gaps
    )
    pen.write(
        "reversal by a word", "comparison", REVERSAL_BY_A_WORD_2_ASKS, REVERSAL_BY_A_WORD_2_SAYS, reverse, False, **gaps
    )
    if (one.fraction or 0) - (other.fraction or 0) > 0.25:
        pen.write(
            "as much as",
            "comparison",
            AS_MUCH_AS_ASKS,
            AS_MUCH_AS_SAYS,
            {"is": "equal", "label": one.name, "other": other.name},
            False,
            **gaps,
        )


WRITERS = (denials, pairs, amounts, comparisons)
