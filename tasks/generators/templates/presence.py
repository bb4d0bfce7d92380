"""Is it there, is it absent, is it near? The same wordings for yes and for no."""

from collections.abc import Mapping

from tasks.dialogue.pairs import Pair
from tasks.generators.templates.kind import Kind, yes_no
from tasks.generators.templates.nouns import Noun, noun
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

THERE = (
    "{n.are_there} any {n.text} in {i}?",
    "{n.are_there} {n.text} in {i}?",
    "Does {i} show any {n.text}?",
    "Does {i} contain any {n.text}?",
    "Does {i} include {n.text}?",
    "Can any {n.text} be seen in {i}?",
    "Can you see any {n.text} in {i}?",
    "{be} {n.text} present in {i}?",
    "{be} any {n.text} visible in {i}?",
)
SAID = {
    True: (
        "Yes, there {n.be} {n.text} in {i}.",
        "Yes, {i} shows {n.text}.",
        "Yes, {i} contains {n.text}.",
        "Yes, {n.text} {n.be} present in {i}.",
        "Yes, {n.text} can be seen in {i}.",
    ),
    False: (
        "No, there {n.be} no {n.text} in {i}.",
        "No, {i} shows no {n.text}.",
        "No, {i} contains no {n.text}.",
        "No, {n.text} {n.be} not present in {i}.",
        "No, no {n.text} can be seen in {i}.",
    ),
}
"""Answers in a sentence; as many for either, each with its twin."""
ABSENT = (
    "{be} {n.text} absent from {i}?",
    "{be} {n.text} missing from {i}?",
    "{n.are_there} no {n.text} in {i}?",
    "Is {i} free of {n.text}?",
    "Does {i} lack {n.text}?",
)
SAID_ABSENT = {
    True: (
        "Yes, there {n.be} no {n.text} in {i}.",
        "Yes, {i} shows no {n.text}.",
        "Yes, {n.text} {n.be} absent from {i}.",
    ),
    False: (
        "No, there {n.be} {n.text} in {i}.",
        "No, {i} shows {n.text}.",
        "No, {n.text} {n.be} present in {i}.",
    ),
}
NEAR = (
    "{n.are_there} any {n.text} in or around {i}?",
    "{n.are_there} {n.text} in or around {i}?",
    "Can any {n.text} be found in or around {i}?",
    "{be} {n.text} present in or around {i}?",
)
SAID_NEAR = {
    True: ("Yes, there {n.be} {n.text} in or around {i}.", "Yes, {n.text} can be found in or around {i}."),
    False: ("No, there {n.be} no {n.text} in or around {i}.", "No, no {n.text} can be found in or around {i}."),
}


def ask_presence(name: str, holds: bool, voice: Voice) -> tuple[str, str]:
    """Question and answer whether a label is in the chip."""
    return _pair(THERE, SAID, noun(name), holds, voice)


def _pair(
    questions: tuple[str, ...], answers: Mapping[bool, tuple[str, ...]], n: Noun, holds: bool, voice: Voice
) -> tuple[str, str]:
    question = voice.pick(questions).format(n=n, i=voice.image, be=n.be.capitalize())
    answer = voice.pick(answers[holds]).format(n=n, i=voice.image) if voice.whole else yes_no(holds)
    return voice.question(question), answer


def _found(there: list[str], gone: list[str], yes: str, no: str) -> list[Found]:
    return [Found(name, yes, (True,)) for name in there] + [Found(name, no, (False,)) for name in gone]


def find_presence(view: View) -> list[Found]:
    """Every label that is certainly there, or certainly not."""
    return _found(view.there, view.gone, "yes", "no")


def say_presence(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Is there any X?"""
    question, answer = ask_presence(found.subject, found.answer == "yes", voice)
    return (Pair(question, answer, "presence", (found.subject,)),)


def find_absence(view: View) -> list[Found]:
    """The same labels, asked the other way round."""
    return _found(view.there, view.gone, "no", "yes")


def say_absence(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Is X absent?"""
    question, answer = _pair(ABSENT, SAID_ABSENT, noun(found.subject), found.answer == "yes", voice)
    return (Pair(question, answer, "absence", (found.subject,)),)


def find_nearby(view: View) -> list[Found]:
    """Labels that hold somewhere in the footprint around the chip, or nowhere in it."""
    return _found(view.tags, view.far, "yes", "no")


def say_nearby(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Is there any X in or around the image?"""
    question, answer = _pair(NEAR, SAID_NEAR, noun(found.subject), found.answer == "yes", voice)
    return (Pair(question, answer, "nearby", (found.subject,)),)


KINDS = (
    Kind("presence", find_presence, say_presence),
    Kind("absence", find_absence, say_absence),
    Kind("nearby", find_nearby, say_nearby),
)
