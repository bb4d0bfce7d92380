"""Dialogues: the first question names something, those after it refer back to it."""

from dataclasses import replace

from tasks.dialogue.facts import Label
from tasks.dialogue.pairs import Pair
from tasks.generators.templates.amounts import ask_share, find_whole_share
from tasks.generators.templates.cover import ask_scene_class, find_scene_class
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.nouns import noun
from tasks.generators.templates.places import find_position
from tasks.generators.templates.presence import ask_presence, find_presence
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

HOW_MUCH = (
    "And how much of {i} {do} {it} cover?",
    "How much of {i} {do} {it} cover?",
    "What share of {i} {do} {it} cover?",
)
WHERE = ("And where in {i} {do} {it} lie?", "In which part of {i} {do} {it} lie?", "Where in {i} {do} {it} lie?")
ALSO = (
    "And {b} there any {n}?",
    "{be} there any {n} as well?",
    "Does {i} also show any {n}?",
)


def find_dialogue(view: View) -> list[Found]:
    """A label to begin with, of which more can be asked."""
    return [Found("", "")] if find_whole_share(view) or find_position(view) else []


def say_dialogue(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Two to four turns."""
    voice.whole = False
    first = view.draw("scene-class", find_scene_class(view)) if voice.coin() else None
    if first:
        name = first.answer
        pairs = [Pair(*ask_scene_class(name, voice), "scene-class", (name,))]
        also = view.draw("presence", [one for one in find_presence(view) if one.subject != name])
    else:
        asked = view.draw("presence", find_presence(view))
        # Yes goes with no: or dialogues, which go on from what is there, would say yes more often.
        also = asked and view.draw("presence", [one for one in find_presence(view) if one.answer != asked.answer])
        if asked is None or also is None:
            return ()
        name = asked.subject if asked.answer == "yes" else ""
        pairs = [Pair(*ask_presence(asked.subject, asked.answer == "yes", voice), "presence", (asked.subject,))]
    label = next((label for label in view.clear if label.name == name), None)
    if label is not None:
        pairs += _about(label, view, voice)
    if also:
        n = noun(also.subject)
        question = voice.pick(ALSO).format(be=n.be.capitalize(), b=n.be, n=n.text, i=voice.image)
        pairs.append(Pair(question, also.answer, "presence", (also.subject,)))
    return (pairs[0], *(replace(pair, follows=True) for pair in pairs[1:])) if len(pairs) > 1 else ()


def _about(label: Label, view: View, voice: Voice) -> list[Pair]:
    """What more is asked about a label that the turn before named."""
    n = noun(label.name)
    words = {"i": voice.image, "it": "they" if n.plural else "it", "do": n.do.lower()}
    pairs = []
    share = ask_share(label, voice, mapped=False) if label.name in {f.subject for f in find_whole_share(view)} else None
    if share and share[1][0].isalpha():
        pairs.append(Pair(voice.pick(HOW_MUCH).format(**words), share[1], "share", (label.name,)))
    place = view.place(label)
    if place and (not pairs or voice.coin()):
        pairs.append(Pair(voice.pick(WHERE).format(**words), place, "position", (label.name,)))
    return pairs


KINDS = (Kind("dialogue", find_dialogue, say_dialogue, balanced=False),)
