"""Rewordings of shares that keep the meaning: round words, figures, figures in words, one side of a bound."""

from typing import Any

from tasks.quality import words
from tasks.quality.known import Known
from tasks.quality.writing import Pen

TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
TEENS = ("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")


def spelled(value: int) -> str:
    """A whole number from 1 to 99 in words."""
    if value <= 10:
        return words.number(value)
    if value < 20:
        return TEENS[value - 11]
    tens, ones = divmod(value, 10)
    return TENS[tens] + (f"-{words.NUMBERS[ones]}" if ones else "")


HOW_MUCH = (
    "How much of this image is {x}?",
    "What part of the picture is taken up by {x}?",
    "What fraction of the ground in this scene is {x}?",
    "What is the areal share of {x}?",
    "Estimate the fraction of the tile covered by {x}.",
    "What per cent of the scene {x:does} {x} occupy?",
)
ROUGH = (
    (0.05, 0.13, ("roughly a tenth", "about one tenth", "around ten percent", "some 10 %")),
    (0.22, 0.28, ("roughly a quarter", "about one fourth", "some 25 percent", "around 1/4")),
    (0.30, 0.37, ("roughly a third", "about one third", "around 1/3", "close to a third")),
    (
        0.46,
        0.54,
        ("roughly half", "about one half", "around fifty percent", "approximately 1/2", "close to half of it"),
    ),
    (0.63, 0.70, ("roughly two thirds", "about 2/3", "close to two-thirds")),
    (0.72, 0.78, ("roughly three quarters", "about 3/4", "around three fourths")),
    (
        0.95,
        1.00,
        ("nearly all of it", "almost the whole image", "practically everything", "virtually all of the scene"),
    ),
)


NUMBER_AS_WORDS_SAYS = (
    "{n} percent", "About {n} per cent of the scene.", "Some {n} percent", "It covers about {n} percent.",
)  # fmt: skip
DECIMAL_SAYS = ("{d}", "A fraction of {d}.", "About {d} of the image.", "{p} %", "{p:.1f} percent of it")


def amounts(known: Known, pen: Pen) -> None:
    """Shares in round words, in figures, in words of figures, and on one side of a bound."""
    for label in known.sized[:4]:
        value = label.fraction or 0.0
        gaps: dict[str, Any] = {"x": known.mass(label.name)}
        for low, high, texts in ROUGH:
            if low <= value <= high:
                claim = {"is": "share", "label": label.name, "low": low - 0.05, "high": high + 0.05}
                pen.write("roughly", "share", HOW_MUCH, texts, claim, True, **gaps)
        near = {"is": "share", "label": label.name, "low": value - 0.05, "high": value + 0.05}
        if 0.01 < value < 0.99:
            count = spelled(round(value * 100))
            pen.write("number as words", "share", HOW_MUCH, NUMBER_AS_WORDS_SAYS, near, True, n=count, **gaps)
            pen.write(
                "decimal",
                "share",
                HOW_MUCH,
                DECIMAL_SAYS,
                near,
                True,
                d=f"{value:.2f}",
                p=value * 100 // 0.1 / 10,
                **gaps,
            )
        bound = pen.draw.choice([b for b in (0.1, 0.25, 0.5, 0.75, 0.9) if abs(value - b) >= 0.07])
        name = {0.1: "a tenth", 0.25: "a quarter", 0.5: "half", 0.75: "three quarters", 0.9: "nine tenths"}[bound]
        texts = (
            ("at least {b}", "no less than {b}", "more than {b}", "upwards of {b}")
            if value > bound
            else ("at most {b}", "no more than {b}", "less than {b}", "not even {b}")
        )
        claim = {
            "is": "share",
            "label": label.name,
            "low": bound if value > bound else 0.0,
            "high": 1.0 if value > bound else bound,
        }
        pen.write("one bound", "share", HOW_MUCH, texts, claim, True, b=name, **gaps)


WRITERS = (amounts,)
