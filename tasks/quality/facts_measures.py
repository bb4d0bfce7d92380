"""Cases about how much: shares in quarters, percentages and fractions, and who covers more."""

from typing import Any

from tasks.dialogue.facts import Label
from tasks.quality import words
from tasks.quality.known import APART, Known, pick
from tasks.quality.writing import Pen, Statement, contradict, flip, flip_sentence, tell

HOW_MUCH = (
    "How much of this image is {x}?", "What fraction of the scene is covered by {x}?",
    "What share of the picture {x:does} {x} take up?",
    "What proportion of this tile is {x}?", "What percentage of the area is {x}?",
    "How large is the part of the image that is {x}?",
    "Roughly how much of the view {x:does} {x} cover?", "To what extent is the scene covered with {x}?",
)  # fmt: skip
QUARTERS = (
    ("less than a quarter", "under a quarter", "below 25 %", "fewer than 25 percent"),
    ("between a quarter and a half", "more than a quarter but less than half", "between 25 and 50 percent",
    "from 25 % to 50 %"),
    ("between a half and three quarters", "more than half but under three quarters", "between 50 and 75 percent",
    "50-75 %"),
    ("more than three quarters", "over three quarters", "above 75 %", "at least 75 percent"),
)  # fmt: skip
ABOUT = (
    "{share}",
    "{share}.",
    "About {share}.",
    "{x} {x:cover} {share} of the image.",
    "Around {share} of the scene is {x}.",
    "It is about {share}.",
    "Approximately {share} of it.",
)
EXACT = ("{share}", "{share}.", "{x} {x:cover} {share} of the image.", "It is {share}.", "The share of {x} is {share}.")
FRACTIONS = (
    (0.10, "a tenth"), (0.20, "a fifth"), (0.25, "a quarter"), (1 / 3, "a third"), (0.40, "two fifths"), (0.50, "half"),
    (0.60, "three fifths"), (2 / 3, "two thirds"), (0.75, "three quarters"), (0.80, "four fifths"), (0.90,
    "nine tenths"),
)  # fmt: skip


def percent(value: float, pen: Pen) -> str:
    """A share as a percentage, in one of its spellings."""
    rounded = round(value * 100)
    return pen.draw.choice((f"{rounded}%", f"{rounded} %", f"{rounded} percent", f"{rounded} per cent"))


def share(known: Known, pen: Pen) -> None:
    """How much is X? In quarters, percentages and fractions."""
    for label in pick(pen.draw, known.sized, 2):
        value = label.fraction or 0.0
        nouns = [noun for noun in known.names(label.name) if not noun.plural] or list(known.names(label.name))
        gaps: dict[str, Any] = {"x": pen.draw.choice(nouns)}
        if all(abs(value - bound) >= 0.05 for bound in (0.25, 0.5, 0.75)):
            right = min(int(value * 4), 3)
            wrong = pen.draw.choice([n for n in range(4) if n != right])
            for number, truth in ((right, True), (wrong, False)):
                claim = {"is": "share", "label": label.name, "low": number / 4, "high": (number + 1) / 4}
                kind = "share" if truth else "wrong share"
                pen.write(kind, "share", HOW_MUCH, EXACT, claim, truth, share=pen.draw.choice(QUARTERS[number]), **gaps)
        off = pen.draw.choice([o for o in (-0.45, -0.35, -0.27, 0.27, 0.35, 0.45) if 0.03 < value + o < 0.97] or [0.3])
        for given, truth in ((value, True), (value + off, False)):
            claim = {"is": "share", "label": label.name, "low": given - 0.05, "high": given + 0.05}
            kind = "share" if truth else "wrong share"
            pen.write(kind, "share", HOW_MUCH, ABOUT, claim, truth, share=percent(given, pen), **gaps)
        for fraction, text in pen.draw.sample(FRACTIONS, len(FRACTIONS))[:4]:
            if abs(fraction - value) <= 0.015 or abs(fraction - value) > 0.25:
                truth = abs(fraction - value) < 0.1
                claim = {"is": "share", "label": label.name, "low": fraction - 0.05, "high": fraction + 0.05}
                kind = "share" if truth else "wrong share"
                pen.write(kind, "share", HOW_MUCH, ABOUT, claim, truth, share=text, **gaps)
        half(label, known, pen)


def half(label: Label, known: Known, pen: Pen) -> None:
    """Does X cover more than half?"""
    value = label.fraction or 0.0
    if abs(value - 0.5) < APART:
        return
    x = known.names(label.name)[0]
    it = Statement(
        "share",
        {"is": "share", "label": label.name, "low": 0.5, "high": 1.0},
        {"is": "share", "label": label.name, "low": 0.0, "high": 0.5},
        value > 0.5,
        ("{x:Does} {x} cover more than half of the image?", "Is more than half of the scene {x}?",
         "Is the greater part of this picture {x}?", "Is over 50 % of the area {x}?",
         "{x:Does} {x} make up the majority of the view?"),
        ("{x} {x:cover} more than half of it.", "over half of the image is {x}.", "the majority of the scene is {x}."),
        ("{x} {x:cover} less than half of it.", "less than half of the image is {x}.",
        "{x} {x:cover} only a minority of the scene."),
        {"x": x},
    )  # fmt: skip
    tell(pen, "share", it)
    flip(pen, "answer flipped", it)
    flip_sentence(pen, "wrong share", it)


COMPARES = (
    "Is there more {x} than {y} in this image?", "{x:Does} {x} cover a larger area than {y}?",
    "Is the area of {x} greater than that of {y}?",
    "{x:Does} {x} take up more space than {y} here?", "{x:Is} {x} more extensive than {y}?",
    "Compared with {y}, is there more {x}?",
    "Does the scene have more {x} than it has {y}?", "Is the share of {x} larger than the share of {y}?",
)  # fmt: skip
MORE = (
    "there is more {x} than {y}.", "{x} {x:cover} a larger area than {y}.", "{x} {x:is} more extensive than {y}.",
    "{y} {y:cover} less than {x}.",
    "{x} {x:take} up more of the image than {y}.",
)  # fmt: skip
LESS = (
    "there is less {x} than {y}.", "{y} {y:cover} a larger area than {x}.", "{y} {y:is} more extensive than {x}.",
    "{x} {x:cover} less than {y}.",
    "{x} {x:take} up less of the image than {y}.",
)  # fmt: skip
WHICH = (
    "Which covers more of the image, {x} or {y}?",
    "What is more widespread here: {x} or {y}?",
    "{x} or {y}: which has the larger area?",
    "Which of the two takes up more space, {y} or {x}?",
)
WINNER = ("{w}", "{w}.", "{w} {w:cover} more.", "There is more {w}.", "{w} {w:is} more widespread.")


def comparison(known: Known, pen: Pen) -> None:
    """Is there more X than Y? Both of one source, never near equals."""
    several = known.sized
    for _ in range(2):
        if len(several) < 2:
            return
        one, other = pen.draw.sample(several, 2)
        difference = (one.fraction or 0) - (other.fraction or 0)
        if one.source != other.source or abs(difference) < APART or words.related(one.name, other.name):
            continue
        mass = [known.mass(label.name) for label in (one, other)]
        claim = {"is": "more", "label": one.name, "than": other.name}
        reverse = {"is": "more", "label": other.name, "than": one.name}
        gaps: dict[str, Any] = {"x": mass[0], "y": mass[1]}
        it = Statement("comparison", claim, reverse, difference > 0, COMPARES, MORE, LESS, gaps)
        tell(pen, "comparison", it)
        flip(pen, "reversed comparison", it)
        flip_sentence(pen, "reversed comparison", it)
        contradict(pen, "contradicting explanation", it)
        for winner, asserted in ((mass[0], claim), (mass[1], reverse)):
            truth = (asserted is claim) == (difference > 0)
            kind = "comparison" if truth else "reversed comparison"
            pen.write(kind, "comparison", WHICH, WINNER, asserted, truth, w=winner, **gaps)


WRITERS = (share, comparison)
