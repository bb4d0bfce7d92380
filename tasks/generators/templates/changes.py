"""What changed, and where."""

from tasks.dialogue.pairs import Pair
from tasks.generators.templates.kind import Kind, yes_no
from tasks.generators.templates.nouns import is_sayable, noun
from tasks.generators.templates.view import CLEAR, View
from tasks.generators.templates.voice import Found, Voice

HAPPENED = (
    "Was there {n} in this area?",
    "Was there any {n} in this area?",
    "Has there been {n} in this area?",
    "Has there been any {n} here?",
)
SAID = {
    True: ("Yes, there was {n} in this area.", "Yes, there has been {n} in this area."),
    False: ("No, there was no {n} in this area.", "No, there has been no {n} in this area."),
}
WHERE = (
    "Where in {i} was there {n}?",
    "In which part of {i} was there {n}?",
    "In which part of {i} does the {n} lie?",
    "Where in {i} does the {n} lie?",
)


def find_change(view: View) -> list[Found]:
    """Every change that certainly happened, or certainly did not."""
    facts, out = view.facts, []
    for source in facts.used:
        for name in source.change:
            label = view.changes.get(name)
            if not is_sayable(name) or (label is None and not source.can_deny(name)):
                continue
            if label is None:
                out.append(Found(name, "no"))
            elif label.fraction is None or CLEAR <= label.fraction <= 1:
                out.append(Found(name, "yes"))
    return out


def say_change(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Did X happen here?"""
    n, holds = noun(found.subject).text, found.answer == "yes"
    question = voice.question(voice.pick(HAPPENED).format(n=n))
    answer = voice.pick(SAID[holds]).format(n=n) if voice.whole else yes_no(holds)
    return (Pair(question, answer, "change", (found.subject,)),)


def find_change_position(view: View) -> list[Found]:
    """Changes that lie in one part of the chip."""
    placed = ((label, view.place(label)) for label in view.changes.values() if is_sayable(label.name))
    return [Found(label.name, place) for label, place in placed if place]


def say_change_position(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Where did X happen?"""
    n = noun(found.subject).text
    question = voice.question(voice.pick(WHERE).format(n=n, i=voice.image))
    answer = f"The {n} lies in the {found.answer} of {voice.image}." if voice.whole else found.answer
    return (Pair(question, answer, "change-position", (found.subject,)),)


KINDS = (
    Kind("change", find_change, say_change),
    Kind("change-position", find_change_position, say_change_position),
)
