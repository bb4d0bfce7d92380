"""Cases about what is there and what is not: presence, absence, lists, the largest, things that no label knows."""

from typing import Any

from tasks.quality import words
from tasks.quality.known import APART, Known, pick
from tasks.quality.writing import Pen, Statement, contradict, flip, flip_sentence, tell

WHERE = ("in this image", "in the picture", "in this scene", "on this chip", "here", "anywhere in this view")
ASKS = (
    "{x:Is} there any {x} in this image?",
    "Can you see {x} in this picture?",
    "Does the scene contain {x}?",
    "{x:Is} {x} visible here?",
    "Does this tile show any {x}?",
    "Would you find {x} in this view?",
    "Is it true that {x} {x:is} present in this image?",
    "Looking at the image, {x:is} there {x}?",
    "{x:Does} {x} occur in this area?",
    "I wonder whether there {x:is} any {x} in this image. {x:Is} there?",
)
SAYS = (
    "there {x:is} {x} in this image.", "{x} {x:is} present.", "the image contains {x}.", "{x} can be seen here.",
    "some {x} {x:is} visible.", "the scene shows {x}.", "there {x:is} some {x}.",
)  # fmt: skip
DENIES = (
    "there {x:is} no {x} in this image.", "{x} {x:is} absent.", "the image contains no {x}.",
    "no {x} can be seen here.",
    "the scene does not show any {x}.", "there {x:is} not any {x}.", "{x} {x:does} not occur here.",
)  # fmt: skip
TRUE_THAT_NONE = (
    "Is it true that there {x:is} no {x} in this image?",
    "{x:Is} {x} missing from this scene?",
    "Is the image free of {x}?",
    "Would it be right to say that {x} {x:is} absent here?",
    "Is it correct that no {x} {x:is} visible?",
    "Does the scene lack {x}?",
    "{x:Is} {x} nowhere to be seen in this picture?",
)
OPEN = (
    "What land cover does this image show?", "Which kinds of land cover are present?",
    "Name the classes in this scene.",
    "What can be seen in this image?", "List the types of surface that occur here.", "Which classes are visible?",
    "What is there in this picture?",
)  # fmt: skip
LISTS = (
    "{list}",
    "{list}.",
    "The image shows {list}.",
    "One can see {list}.",
    "{list} are present.",
    "There is {list}.",
)
LARGEST = (
    "What covers most of this image?", "Which class is dominant?", "What is the most widespread land cover here?",
    "Which kind of surface takes up the largest share of the scene?", "What is the prevailing cover?",
    "Which class covers the largest area?",
)  # fmt: skip
IS_LARGEST = (
    "{x}", "{x}.", "{x} {x:cover} the largest part.", "Mostly {x}.", "The dominant class is {x}.",
    "{x} {x:is} the most widespread.", "The scene is dominated by {x}.",
)  # fmt: skip


def presence_of(label: str, holds: bool, known: Known, pen: Pen, synonym: bool = True) -> Statement:
    """That a label is in the chip."""
    nouns = known.names(label)
    noun = pen.draw.choice(nouns) if synonym else nouns[0]
    return Statement(
        "presence" if holds else "absence",
        {"is": "present", "label": label},
        {"is": "absent", "label": label},
        holds,
        ASKS,
        SAYS,
        DENIES,
        {"x": noun},
    )


HALF_TRUE_LIST_SAYS = ("{x} and {y}", "{x}, {y}", "The image shows {x} and {y}.", "There is {y} as well as {x}.")
SWAPPED_CLASS_ASKS = (
    "Name one class in this scene.", "Give one kind of cover that occurs here.",
    "What is one thing that this image shows?",
)  # fmt: skip
SWAPPED_CLASS_SAYS = ("{y}", "{y}.", "It shows {y}.")
CONJUNCTION_SAYS = ("No.", "No, there {x:is} {x} but no {y}.", "Of the two only {x}.", "No, {y} {y:is} missing.")


def presence(known: Known, pen: Pen) -> None:
    """Is there X? True, and every way to get it wrong."""
    here = [(label.name, True) for label in pick(pen.draw, known.here, 3) if words.known(label.name)]
    gone = [(name, False) for name in pen.draw.sample(known.gone(), min(3, len(known.gone())))]
    for label, holds in [*here, *gone]:
        it = presence_of(label, holds, known, pen)
        tell(pen, "presence" if holds else "absence", it)
        missing = Statement(it.asked, it.opposite, it.claim, not holds, TRUE_THAT_NONE, DENIES, SAYS, it.values)
        tell(pen, "negated question", missing)
        flip(pen, "answer flipped", it)
        flip(pen, "negation added" if holds else "negation removed", missing)
        flip_sentence(pen, "negation added" if holds else "negation removed", it)
        contradict(pen, "contradicting explanation", it)
        if not holds and len(known.names(label)) > 1:
            other = Statement(it.asked, it.claim, it.opposite, False, ASKS, SAYS, DENIES, {"x": known.names(label)[-1]})
            flip(pen, "synonym of another class", other)
            flip_sentence(pen, "synonym of another class", other)
    for present, _ in here:
        for absent in pen.draw.sample(known.gone(), min(1, len(known.gone()))):
            both: dict[str, Any] = {
                "x": pen.draw.choice(known.names(present)),
                "y": pen.draw.choice(known.names(absent)),
            }
            claims = ({"is": "present", "label": present}, {"is": "present", "label": absent})
            pen.write("half-true conjunction", "presence", BOTH, (*BOTH_YES, "Yes.", "yes"), claims, False, **both)
            pen.write("half-true list", "multi-label", OPEN, HALF_TRUE_LIST_SAYS, claims, False, **both)
            pen.write("swapped class", "multi-label", SWAPPED_CLASS_ASKS, SWAPPED_CLASS_SAYS, claims[1:], False, **both)
            pen.write(
                "conjunction",
                "presence",
                BOTH,
                CONJUNCTION_SAYS,
                (claims[0], {"is": "absent", "label": absent}),
                True,
                **both,
            )


BOTH = (
    "Are there both {x} and {y} in this image?", "Does the scene show {x} and {y}?",
    "Can you see {x} together with {y}?",
    "Does this picture contain {x} as well as {y}?",
)  # fmt: skip
BOTH_YES = ("Yes, both are present.", "Yes, there is {x} and {y}.", "The image shows both.")


def around(known: Known, pen: Pen) -> None:
    """Tags: somewhere in or around the chip."""
    asks = (
        "Is there {x} in or around this image?", "Does {x} occur in the surroundings of this scene?",
        "Would one find {x} in or near the pictured area?", "Is any {x} found within or close to this image?",
    )  # fmt: skip
    says = (
        "there is {x} in or around it.",
        "{x} can be found in the surroundings.",
        "{x} occurs in or near this area.",
    )
    denies = (
        "there is no {x} in or around it.",
        "no {x} can be found in the surroundings.",
        "{x} does not occur there.",
    )
    gone = known.gone(tags=True)
    given = [label.name for label in pick(pen.draw, known.around, 2) if words.known(label.name)]
    for label, holds in [*[(n, True) for n in given], *[(n, False) for n in pen.draw.sample(gone, min(2, len(gone)))]]:
        noun = known.mass(label)
        claim, opposite = {"is": "around", "label": label}, {"is": "not around", "label": label}
        it = Statement("nearby", claim, opposite, holds, asks, says, denies, {"x": noun})
        if noun.plural:
            continue
        tell(pen, "nearby", it)
        flip(pen, "answer flipped", it)
        flip_sentence(pen, "negation added" if holds else "negation removed", it)
        contradict(pen, "contradicting explanation", it)


def joined(nouns: list[str], pen: Pen) -> str:
    """A list as people write one."""
    if len(nouns) == 1:
        return nouns[0]
    head, last = ", ".join(nouns[:-1]), nouns[-1]
    return pen.draw.choice(
        (f"{head} and {last}", f"{head}, {last}", f"{head}, and {last}" if len(nouns) > 2 else f"{head} and {last}")
    )


def lists(known: Known, pen: Pen) -> None:
    """All that one complete source sees, or one of it exchanged."""
    if not known.whole or not all(words.known(label.name) for label in known.whole):
        return
    labels = [label.name for label in known.whole]
    order = pen.draw.sample(labels, len(labels))
    right = joined([str(known.names(label)[0]) for label in order], pen)
    claims = [{"is": "present", "label": label} for label in labels]
    pen.write("multi-label", "multi-label", OPEN, LISTS, claims, True, list=right)
    for _ in range(2):
        wrong = [name for name in known.gone() if not any(words.related(name, label) for label in labels)]
        if wrong and len(order) > 1:
            new = pen.draw.choice(wrong)
            index = pen.draw.randrange(len(order))
            swapped = [*order[:index], new, *order[index + 1 :]]
            claims = [{"is": "present", "label": label} for label in swapped]
            pen.write(
                "half-true list",
                "multi-label",
                OPEN,
                LISTS,
                claims,
                False,
                list=joined([str(known.names(label)[0]) for label in swapped], pen),
            )


def dominant(known: Known, pen: Pen) -> None:
    """What covers most, where the lead is clear."""
    if len(known.whole) < 2 or (known.whole[0].fraction or 0) - (known.whole[1].fraction or 0) < APART:
        return
    first, *others = [label.name for label in known.whole]
    if not all(map(words.known, (first, *others))):
        return
    right = {"is": "dominant", "label": first}
    pen.write("dominant", "dominant", LARGEST, IS_LARGEST, right, True, x=pen.draw.choice(known.names(first)))
    for other in others[:2]:
        claim = {"is": "dominant", "label": other}
        pen.write(
            "false superlative", "dominant", LARGEST, IS_LARGEST, claim, False, x=pen.draw.choice(known.names(other))
        )
        it = Statement(
            "dominant", claim, {"is": "not dominant", "label": other}, False,
            ("Is {x} the dominant class?", "Does {x} cover more of the scene than anything else?",
             "Is {x} the most common cover in this image?", "Does {x} take up the largest part of the picture?"),
            ("{x} {x:is} the dominant class.", "nothing covers more than {x}."),
            ("something else covers more than {x}.", "{x} {x:is} not the dominant class."),
            {"x": known.names(other)[0]},
        )  # fmt: skip
        if not known.names(other)[0].plural:
            tell(pen, "dominant", it)
            flip(pen, "false superlative", it)
    for absent in known.gone()[:1]:
        pen.write(
            "swapped class",
            "dominant",
            LARGEST,
            IS_LARGEST,
            {"is": "dominant", "label": absent},
            False,
            x=pen.draw.choice(known.names(absent)),
        )
        pen.write(
            "synonym of another class",
            "dominant",
            LARGEST,
            IS_LARGEST,
            {"is": "dominant", "label": absent},
            False,
            x=known.names(absent)[-1],
        )


WRITERS = (presence, around, lists, dominant)
