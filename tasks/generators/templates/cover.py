"""What the chip shows as a whole: its dominant class, its classes, its classes by size."""

from tasks.dialogue.pairs import Pair
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.nouns import Noun, listed, noun
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

DOMINANT = (
    "What covers the largest part of {i}?",
    "Which kind of cover dominates {i}?",
    "What is the dominant land cover in {i}?",
    "Which class covers the largest part of {i}?",
    "What is the main kind of cover in {i}?",
    "Which land cover takes up the largest part of {i}?",
)
SAID_DOMINANT = (
    "{n.cap} {dominate} {i}.",
    "{n.cap} {take} up the largest share of {i}.",
    "{n.cap} {n.be} the dominant land cover in {i}.",
    "The dominant land cover in {i} is {n.text}.",
    "The main kind of cover in {i} is {n.text}.",
)
CLASSES = (
    "Which kinds of cover are present in {i}?",
    "Which classes of land cover are present in {i}?",
    "Name all kinds of cover in {i}.",
    "List the classes of land cover that {i} shows.",
    "What are the land-cover classes in {i}?",
)
SAID_CLASSES = ("{i} shows {all}.", "There {be} {all} in {i}.")
AROUND = (
    "Which classes are present in or around {i}?",
    "Name all classes that are present in or around {i}.",
    "Which kinds of cover are present in or around {i}?",
)
SAID_AROUND = ("There {be} {all} in or around {i}.",)
BY_SIZE = (
    "List the kinds of cover in {i} in order of area.",
    "Which classes are there in {i}, in order of size?",
    "Rank the land-cover classes in {i} by area.",
    "Name the kinds of cover in {i} in order of their area.",
)
SAID_BY_SIZE = ("{i} shows {all}.", "There {be} {all} in {i}.")
MOST = 6
"""Names in a list; of more nobody asks."""


def find_scene_class(view: View) -> list[Found]:
    """The class that covers the largest part, where its lead is clear."""
    leader = view.leader
    return [Found("", leader.name)] if leader else []


def verbs(n: Noun) -> dict[str, str]:
    """Verbs of what covers most, in the number of a noun."""
    return {"dominate": "dominate" if n.plural else "dominates", "take": "take" if n.plural else "takes"}


def ask_scene_class(name: str, voice: Voice) -> tuple[str, str]:
    """Question and answer about the dominant class."""
    n = noun(name)
    question = voice.pick(DOMINANT).format(i=voice.image)
    answer = voice.pick(SAID_DOMINANT).format(n=n, i=voice.image, **verbs(n)) if voice.whole else n.text
    return voice.question(question), answer


def say_scene_class(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """What covers the largest part?"""
    question, answer = ask_scene_class(found.answer, voice)
    return (Pair(question, answer, "scene-class", (found.answer,)),)


def find_multi_label(view: View) -> list[Found]:
    """All classes of a source that describes the whole chip, or all tags of one that describes its surroundings."""
    names = sorted(label.name for label in view.listed)
    out = [Found("", "|".join(names), (False, *names))] if 2 <= len(names) <= MOST else []
    complete = [s for s in view.facts.sources.values() if s.is_tag and s.complete and s.looked_for is None]
    tags = sorted(view.tags)
    whole = len(complete) == 1 and all(label.source == complete[0].name for label in view.all_tags)
    if whole and len(tags) == len(view.all_tags) and 2 <= len(tags) <= MOST and not any("," in t for t in tags):
        out.append(Found("around", "|".join(tags), (True, *tags)))
    return out


def say_multi_label(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Which classes are there?"""
    around, *names = found.data
    voice.whole = voice.whole or bool(around)  # a name alone would be said of the chip itself
    questions, said = (AROUND, SAID_AROUND) if around else (CLASSES, SAID_CLASSES)
    question = voice.question(voice.pick(questions).format(i=voice.image))
    return (Pair(question, _all([str(name) for name in names], said, voice), "multi-label", tuple(map(str, names))),)


def find_list(view: View) -> list[Found]:
    """The classes by size, where the order is clear."""
    names = [label.name for label in view.listed]
    return [Found("", "|".join(names), tuple(names))] if 2 <= len(names) <= MOST else []


def say_list(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Which classes are there, the largest first?"""
    names = [str(name) for name in found.data]
    question = voice.question(voice.pick(BY_SIZE).format(i=voice.image))
    return (Pair(question, _all(names, SAID_BY_SIZE, voice), "list", tuple(names)),)


def _all(names: list[str], said: tuple[str, ...], voice: Voice) -> str:
    texts = [noun(name).text for name in names]
    if not voice.whole:
        return ", ".join(texts)
    text = voice.pick(said).format(all=listed(texts), i=voice.image, be=noun(names[0]).be)
    return text[0].upper() + text[1:]


KINDS = (
    Kind("scene-class", find_scene_class, say_scene_class),
    Kind("multi-label", find_multi_label, say_multi_label),
    Kind("list", find_list, say_list),
)
