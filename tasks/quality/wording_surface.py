"""Rewordings of the surface: capitals, punctuation, spelling, words for the image, compass and screen, typography."""

from collections.abc import Callable, Mapping, Sequence

from tasks.dialogue.pairs import Pair
from tasks.quality import words
from tasks.quality.cases import Case, capital
from tasks.quality.known import Known
from tasks.quality.plain import Plain, plain
from tasks.quality.writing import Pen

Change = Callable[[str], str]


def image(word: str) -> Change:
    """Another word for the image."""
    return lambda text: text.replace("image", word)


def around(before: str, after: str = "") -> Change:
    """Words before or after the question that ask nothing."""
    return lambda text: f"{before}{text}{after}"


def _small(text: str) -> str:
    return text[0].lower() + text[1:]


QUESTIONS: Mapping[str, Sequence[Change]] = {
    "word for the image": [
        image(word)
        for word in ("picture", "scene", "tile", "patch", "view", "chip", "photo", "satellite image", "frame",
            "snapshot", "image tile")
    ],
    "capitals": [str.upper, str.lower, str.title, str.swapcase],
    "punctuation": [
        lambda text: text.rstrip("?"),
        lambda text: text.rstrip("?") + " ?",
        lambda text: text + "??",
        lambda text: text.rstrip("?") + ".",
        lambda text: text.rstrip("?") + "?!",
        lambda text: f"  {text} \n",
        lambda text: f'"{text}"',
        lambda text: text.replace(" ", "  "),
    ],
    "preamble": [
        around("Look at the image. "), around("Based on this satellite image: "), around("Quick question: "),
            around("", " Answer briefly."),
        around("", " Thanks!"), around("As an expert in remote sensing, answer: "), around("Hi! "), around("",
            " Use the image only."),
        lambda text: f"Given the scene, {_small(text)}", lambda text: f"In your opinion, {_small(text)}",
    ],
    "typography": [
        lambda text: text.replace("-", "\u2011"),
        lambda text: f"\u201c{text}\u201d",
        lambda text: text.replace(" ", "\u00a0", 1),
        lambda text: text.replace(" in ", "\u2009in\u2009"),
        lambda text: text.replace("?", "\uff1f"),
    ],
}  # fmt: skip
SHORT = {
    "yes": ("Yes!", "YES", "Yep.", "Yeah.", "yes, it is", "Affirmative.", "True.", "Correct."),
    "no": ("No!", "NO", "Nope.", "Not at all.", "Negative.", "False.", "Incorrect."),
}  # fmt: skip
SAID = (
    "It makes up {} of the image.",
    "That is {} of the scene.",
    "I would say {}.",
    "The answer is {}.",
    "Answer: {}",
    "{}!",
    "I estimate {}.",
)
LISTED = (
    "The image shows {}.",
    "I can see {}.",
    "It contains the following: {}.",
    "Answer: {}",
    "What I see is {}.",
    "Visible are {}.",
)
LOCATED = (
    "{}",
    "in the {}",
    "In the {} of the picture.",
    "It lies in the {}.",
    "Towards the {}.",
    "At the {}.",
    "You will find it in the {}.",
)


def surface(known: Known, pen: Pen) -> None:
    """The plain pairs with another surface, of the question or of the answer."""
    for pair in plain(known, pen):
        for kind, changes in QUESTIONS.items():
            number = pen.draw.randrange(len(changes))
            _reworded(kind, f"number {number}", pair, changes[number](pair.question), pair.answer, pen)
        if pair.answer in SHORT:
            answer = pen.draw.choice(SHORT[pair.answer])
            _reworded("short answer", answer, pair, pair.question, answer, pen)
        elif pair.asked == "position":
            place, sentence = pen.draw.choice(words.PLACES[pair.answer]), pen.draw.choice(LOCATED)
            _reworded(
                "compass and screen", f"{place}/{sentence}", pair, pair.question, capital(sentence.format(place)), pen
            )
        else:
            sentence = pen.draw.choice(SAID if pair.asked == "share" else LISTED)
            _reworded("full sentence", sentence, pair, pair.question, capital(sentence.format(pair.answer)), pen)


def _reworded(kind: str, rule: str, pair: Plain, question: str, answer: str, pen: Pen) -> None:
    """A case; what a half may show of it is the rule."""
    wording = f"surface, by the rule {kind} {rule}"
    pen.cases.append(
        Case(pen.suite, kind, pen.facts, Pair(question, answer, pair.asked), True, pair.claims, True, (wording,))
    )


WRITERS = (surface,)
