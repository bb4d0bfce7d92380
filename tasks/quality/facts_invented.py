"""Cases about what no label knows: invented things, false presuppositions, and what is not annotated."""

from typing import Any

from tasks.quality import words
from tasks.quality.facts_cover import ASKS, DENIES, OPEN, SAYS
from tasks.quality.known import Known, pick
from tasks.quality.writing import Pen

INVENTED_OBJECT_ASKS = (
    "Is there {x} in this image?", "Can you see {x} here?", "Does the scene show {x}?",
    "Is {x} visible in the picture?",
)  # fmt: skip
INVENTED_OBJECT_SAYS = ("Yes.", "yes", "Yes, there is {x}.", "There is {x}.", "Yes, {x} can be seen.")
INVENTED_OBJECT_2_ASKS = ("Describe this image.", "What does this scene show?", "Give a short caption.")
INVENTED_OBJECT_2_SAYS = ("The image shows {x}.", "This is a view of {x}.", "A scene with {x} in it.")
INVENTED_OBJECT_3_ASKS = ("How many {many} are there?", "Count the {many} in this image.")
INVENTED_OBJECT_3_SAYS = ("Two", "3", "There are four {many}.")
HALF_TRUE_CONJUNCTION_ASKS = (
    "Is there {y} and {x} in this image?", "Does the scene show {y} and {x}?", "Can you see {y} as well as {x}?",
)  # fmt: skip
HALF_TRUE_CONJUNCTION_SAYS = ("Yes.", "yes", "Yes, both.")
HALF_TRUE_LIST_SAYS = ("{y} and {x}", "{y}, {x}", "The image shows {y} and {x}.")
FALSE_PRESUPPOSITION_ASKS = (
    "What lies next to {the}?", "Which class borders {the}?", "What surrounds {the} in this image?",
)  # fmt: skip
FALSE_PRESUPPOSITION_SAYS = ("{y}", "{y}.", "It is {y}.")
FALSE_PRESUPPOSITION_2_ASKS = (
    "Is there {y} around {mark}?", "Is {mark} surrounded by {y}?", "Can {y} be seen beside {mark}?",
)  # fmt: skip
FALSE_PRESUPPOSITION_2_SAYS = ("Yes.", "yes", "Yes, there is.")
FALSE_PRESUPPOSITION_3_ASKS = ("Where does the {z} lie?", "In which part of the image is the {z}?")
FALSE_PRESUPPOSITION_3_SAYS = ("In the north.", "south-west", "At the top left.")


def invented(known: Known, pen: Pen) -> None:
    """Things that no label knows, taken for granted, answered as if they were seen."""
    one, many = pen.draw.choice(words.INVENTED)
    landmark = pen.draw.choice(words.LANDMARKS)
    nothing = {"is": "known", "label": str(one)}
    values: dict[str, Any] = {"x": one, "many": many, "the": "the " + one.partition(" ")[2], "mark": landmark}
    pen.write(
        "invented object", "presence", INVENTED_OBJECT_ASKS, INVENTED_OBJECT_SAYS, nothing, False, False, **values
    )
    pen.write(
        "invented object", "caption", INVENTED_OBJECT_2_ASKS, INVENTED_OBJECT_2_SAYS, nothing, False, False, **values
    )
    pen.write(
        "invented object", "count", INVENTED_OBJECT_3_ASKS, INVENTED_OBJECT_3_SAYS, nothing, False, False, **values
    )
    here = [label for label in pick(pen.draw, known.here, 1) if words.known(label.name)]
    for label in here:
        values["y"] = pen.draw.choice(known.names(label.name))
        claims = ({"is": "present", "label": label.name}, nothing)
        pen.write(
            "half-true conjunction",
            "presence",
            HALF_TRUE_CONJUNCTION_ASKS,
            HALF_TRUE_CONJUNCTION_SAYS,
            claims,
            False,
            False,
            **values,
        )
        pen.write("half-true list", "multi-label", OPEN, HALF_TRUE_LIST_SAYS, claims, False, False, **values)
        pen.write(
            "false presupposition",
            "adjacency",
            FALSE_PRESUPPOSITION_ASKS,
            FALSE_PRESUPPOSITION_SAYS,
            nothing,
            False,
            False,
            **values,
        )
        pen.write(
            "false presupposition",
            "presence",
            FALSE_PRESUPPOSITION_2_ASKS,
            FALSE_PRESUPPOSITION_2_SAYS,
            {"is": "known", "label": landmark},
            False,
            False,
            **values,
        )
    for gone in pen.draw.sample(known.gone(), min(1, len(known.gone()))):
        values["z"] = pen.draw.choice(known.names(gone))
        pen.write(
            "false presupposition",
            "position",
            FALSE_PRESUPPOSITION_3_ASKS,
            FALSE_PRESUPPOSITION_3_SAYS,
            {"is": "present", "label": gone},
            False,
            **values,
        )


def not_annotated(known: Known, pen: Pen) -> None:
    """What a source knows but does not give, where it is not complete: neither yes nor no can be had from it."""
    given = {label.name for label in known.facts.labels}
    for source in known.facts.sources.values():
        silent = [
            n
            for n in source.labels
            if n not in given and n not in source.change and words.known(n) and not source.is_tag
        ]
        silent = [
            n
            for n in silent
            if not any(s.can_deny(n) or words.related(n, g) for s in known.facts.sources.values() for g in given)
        ]
        for label in pen.draw.sample(silent, min(1, len(silent))):
            claim = {"is": "not annotated", "label": label}
            for answers in (("Yes.", *[f"Yes, {text}" for text in SAYS]), ("No.", *[f"No, {text}" for text in DENIES])):
                pen.write(
                    "not annotated",
                    "presence",
                    ASKS,
                    answers,
                    claim,
                    None,
                    False,
                    x=pen.draw.choice(known.names(label)),
                )


WRITERS = (invented, not_annotated)
