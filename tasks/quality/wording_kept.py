"""Rewordings that keep the meaning: other grammar, other words for a class or a number, other order."""

from typing import Any

from tasks.quality import words
from tasks.quality.known import Known
from tasks.quality.plain import compared, present
from tasks.quality.writing import Pen

ASK_FOR = {
    "passive": ("Is any {x} shown by this image?", "Has {x} been captured in this image?",
    "Can any {x} be made out in this scene?",
                "Is {x} contained in this picture?", "Is any {x} depicted here?"),
    "other verb": ("Can you spot any {x}?", "Do you see any {x} here?", "Does this patch feature {x}?",
    "Does the view include {x}?",
                   "Are you able to make out {x} in this frame?", "Would you say this tile has {x} in it?"),
    "indirect question": ("Tell me whether there {x:is} {x} in this image.", "Please say if {x} {x:is} present.",
    "State whether the scene has {x}.",
                          "I would like to know if {x} can be seen here.", "Decide whether this image contains {x}."),
    "politeness": ("Could you please tell me if there {x:is} any {x} in this picture?",
    "Please, {x:is} there {x} here?",
                   "Would you mind checking whether {x} {x:is} visible?", "Excuse me, does this image show {x}?",
                   "Kindly indicate whether {x} {x:is} in the scene."),
    "tag question": ("There {x:is} {x} in this image, right?", "This scene contains {x}, doesn't it?",
    "We can see {x} here, can't we?",
                     "The picture shows {x}, correct?"),
    "choice in the question": ("{x:Is} there {x} in this image? Answer yes or no.",
    "Does this scene show {x}, yes or no?", "{x} in the image: yes or no?",
                               "{x:Is} there {x} here or not?"),
}  # fmt: skip
YES = (
    "Yes.",
    "yes",
    "Yes, there {x:is}.",
    "Yes, I can see {x}.",
    "That is the case.",
    "Indeed, there {x:is} {x}.",
    "Certainly.",
    "Yes, {x} {x:is} visible.",
    "There certainly {x:is}.",
    "{x} {x:is} present in the scene.",
)
NO = (
    "No.",
    "no",
    "No, there {x:is}n't any.",
    "No, there {x:is} none.",
    "No {x} here.",
    "It is absent.",
    "I see no {x}.",
    "None.",
    "Not here.",
    "No, I cannot see any {x}.",
    "There {x:is}n\u2019t any {x}.",
    "No, {x} {x:is} not visible.",
    "{x} {x:is} nowhere to be seen.",
)


def asked_otherwise(known: Known, pen: Pen) -> None:
    """Presence and absence in other grammar."""
    here, gone = present(known), known.gone()
    for kind, questions in ASK_FOR.items():
        for labels, holds in (([label.name for label in here], True), (gone, False)):
            if not labels:
                continue
            label = pen.draw.choice(labels)
            mass_only = kind == "passive"
            noun = known.mass(label) if mass_only else pen.draw.choice(known.names(label))
            if noun.plural and mass_only:
                continue
            answers = [a for a in (YES if holds else NO) if not noun.plural or not a.startswith("It is")]
            claim = {"is": "present" if holds else "absent", "label": label}
            pen.write(kind, "presence" if holds else "absence", questions, answers, claim, True, x=noun)


DENIED_ABSENCE_SAYS = (
    "It would be wrong to say that there {x:is} no {x}.", "{x} {x:is} not absent.",
    "It is not true that the image has no {x}.", "{x} {x:is} by no means missing.",
)  # fmt: skip
NEITHER_NOR_ASKS = (
    "Is there {x} or {y} in this image?", "Does this scene show {x} or {y}?", "Can one see {x} or {y} here?",
)  # fmt: skip
NEITHER_NOR_SAYS = (
    "Neither.", "There is neither {x} nor {y}.", "Neither {x} nor {y} can be seen.", "No, neither of them.", "No.",
)  # fmt: skip


def not_absent(known: Known, pen: Pen) -> None:
    """Denials of absence, and denials that are no more than that."""
    questions = ("{x:Is} there any {x} in this image?", "Does the scene show {x}?", "{x:Is} {x} present?")
    for label in [a.name for a in pen.draw.sample(present(known), min(2, len(present(known))))]:
        pen.write(
            "denied absence",
            "presence",
            questions,
            DENIED_ABSENCE_SAYS,
            {"is": "present", "label": label},
            True,
            x=pen.draw.choice(known.names(label)),
        )
    gone = known.gone()
    if len(gone) >= 2:
        one, other = pen.draw.sample(gone, 2)
        gaps: dict[str, Any] = {"x": known.mass(one), "y": known.mass(other)}
        claims = [{"is": "absent", "label": one}, {"is": "absent", "label": other}]
        pen.write("neither, nor", "absence", NEITHER_NOR_ASKS, NEITHER_NOR_SAYS, claims, True, **gaps)


ORDERS_SAYS = ("{text}", "{text}.", "The scene consists of {text}.", "You can find {text} here.", "I see {text}.")
ORDERS_2_SAYS = ("{text}",)


def orders(known: Known, pen: Pen) -> None:
    """Lists in another order and form, with other names for classes."""
    whole = [label.name for label in known.whole]
    if not whole or not all(map(words.known, whole)):
        return
    asks = (
        "Which land cover classes can be found here?",
        "What kinds of surface make up this scene?",
        "List everything that covers the ground in this image.",
        "Tell me which types of land cover occur.",
        "What does the ground consist of in this picture?",
    )
    claims = [{"is": "present", "label": name} for name in whole]
    for kind in ("list in another order", "list with synonyms", "list as bullets"):
        order = pen.draw.sample(whole, len(whole))
        nouns = [
            str(pen.draw.choice(known.names(name)) if kind == "list with synonyms" else known.names(name)[0])
            for name in order
        ]
        if kind == "list as bullets":
            text = pen.draw.choice(
                (
                    "- " + "\n- ".join(nouns),
                    "\n".join(f"{n}. {noun}" for n, noun in enumerate(nouns, 1)),
                    "; ".join(nouns),
                    " / ".join(nouns),
                )
            )
            pen.write(kind, "multi-label", asks, ORDERS_2_SAYS, claims, True, text=text)
            continue
        text = (
            nouns[0]
            if len(nouns) == 1
            else ", ".join(nouns[:-1]) + pen.draw.choice((" and ", ", and ", " as well as ", " & ")) + nouns[-1]
        )
        pen.write(kind, "multi-label", asks, ORDERS_SAYS, claims, True, text=text)


COMPARISON_TURNED_ASKS = (
    "{x:Is} {x} the larger of {x} and {y}?", "{x:Does} {x} exceed {y} in area?",
    "{y:Does} {y} cover less ground than {x}?", "Is the area of {y} smaller than that of {x}?",
    "{x:Does} {x} outweigh {y} here?",
)  # fmt: skip
COMPARISON_TURNED_SAYS = (
    "Yes.", "yes", "Yes, {x} {x:exceed} {y}.", "Indeed, {y} {y:cover} less.", "Yes, {x} {x:has} the larger share.",
)  # fmt: skip
COMPARISON_TURNED_2_ASKS = (
    "Is there more {y} than {x} in this image?", "{y:Does} {y} cover more than {x}?",
    "{y:Is} {y} more common than {x}?",
)  # fmt: skip
COMPARISON_TURNED_2_SAYS = (
    "No, less.", "No, it is the other way round.", "No, the opposite is the case.", "No, {x} {x:cover} more.",
    "On the contrary, there is more {x}.",
)  # fmt: skip
RATIO_ASKS = ("How do {x} and {y} compare in area?", "Compare the areas of {x} and {y}.")
RATIO_SAYS = (
    "{x} {x:cover} more than twice as much as {y}.", "There is over two times as much {x} as {y}.",
    "{y} {y:cover} less than half as much as {x}.", "{x} {x:cover} more than {y}.",
)  # fmt: skip


def comparisons(known: Known, pen: Pen) -> None:
    """Who covers more, turned round."""
    both = compared(known, pen)
    if both is None:
        return
    one, other = both
    gaps: dict[str, Any] = {"x": known.mass(one.name), "y": known.mass(other.name)}
    claim = {"is": "more", "label": one.name, "than": other.name}
    pen.write("comparison turned", "comparison", COMPARISON_TURNED_ASKS, COMPARISON_TURNED_SAYS, claim, True, **gaps)
    pen.write(
        "comparison turned", "comparison", COMPARISON_TURNED_2_ASKS, COMPARISON_TURNED_2_SAYS, claim, True, **gaps
    )
    if (one.fraction or 0) > 2.6 * (other.fraction or 1):
        pen.write("ratio", "comparison", RATIO_ASKS, RATIO_SAYS, claim, True, **gaps)


WRITERS = (asked_otherwise, not_absent, orders, comparisons)
