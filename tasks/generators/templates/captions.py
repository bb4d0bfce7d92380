"""Descriptions: one sentence, or several that each say one thing."""

from tasks.dialogue.facts import Label
from tasks.dialogue.pairs import Pair
from tasks.generators.templates.amounts import (
    find_comparison,
    find_count,
    find_whole_share,
    rounded_percent,
    say_comparison,
    say_count,
    say_share,
)
from tasks.generators.templates.cover import verbs
from tasks.generators.templates.kind import Find, Kind, Say
from tasks.generators.templates.metadata import find_season, say_season
from tasks.generators.templates.nouns import listed, noun
from tasks.generators.templates.pixels import find_backscatter, find_spectral, say_backscatter, say_spectral
from tasks.generators.templates.places import find_adjacency, find_position, say_adjacency, say_position
from tasks.generators.templates.presence import find_nearby, find_presence, say_nearby, say_presence
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

SHORT = (
    "Describe {i} in one sentence.",
    "Give a short caption for {i}.",
    "Summarise {i} in one sentence.",
    "Describe {i} briefly.",
    "Provide a short caption for {i}.",
    "Caption {i}.",
)
DETAILED = (
    "Describe {i} in detail.",
    "Describe {i} in several sentences.",
    "Write a detailed caption for {i}.",
    "Characterise {i} in some detail.",
    "Write several sentences about what {i} shows.",
    "Describe in detail what {i} shows.",
)
SAID: tuple[tuple[Find, Say], ...] = (
    (find_whole_share, say_share),
    (find_position, say_position),
    (find_presence, say_presence),
    (find_comparison, say_comparison),
    (find_adjacency, say_adjacency),
    (find_count, say_count),
    (find_nearby, say_nearby),
    (find_season, say_season),
    (find_spectral, say_spectral),
    (find_backscatter, say_backscatter),
)
"""What sentences of a detailed caption can say."""
ONCE = (find_whole_share, find_presence, find_nearby)
"""Of what says little of a class that the caption has named already."""
LEAST, MOST = 3, 5
"""Sentences of a detailed caption."""


def find_caption(view: View) -> list[Found]:
    """Anything that can be said to be there."""
    return [Found("", "")] if view.clear or view.objects or view.tags else []


def opening(view: View, voice: Voice) -> tuple[str, tuple[str, ...]]:
    """A sentence that says what the chip shows, and the labels that it names."""
    i, leader = voice.image, view.leader
    capital = i[0].upper() + i[1:]
    named = [label.name for label in view.clear] or [label.name for label in view.objects]
    if not named:
        tags = view.tags[:4]
        return f"There {noun(tags[0]).be} {listed([noun(tag).text for tag in tags])} in or around {i}.", tuple(tags)
    if leader and voice.coin():
        return _led(leader, view, voice)
    placed = [(label.name, place) for label in view.clear if (place := view.place(label))]
    if placed and voice.coin():
        name, place = placed[0]
        return f"There {noun(name).be} {noun(name).text} in the {place} of {i}.", (name,)
    names = named[:4]
    said = listed([noun(name).text for name in names])
    return voice.pick((f"{capital} shows {said}.", f"There {noun(names[0]).be} {said} in {i}.")), tuple(names)


def _led(leader: Label, view: View, voice: Voice) -> tuple[str, tuple[str, ...]]:
    """What dominates, and perhaps what there is besides."""
    i, n = voice.image, noun(leader.name)
    capital = i[0].upper() + i[1:]
    second = next((label for label in view.clear if label.name != leader.name), None)
    ways = [
        f"{n.cap} {verbs(n)['dominate']} {i}.",
        f"{capital} is dominated by {n.text}.",
        f"The main kind of cover in {i} is {n.text}.",
    ]
    own = rounded_percent(leader.fraction or 0)
    if own:
        ways.append(f"{n.cap} {n.cover} about {own}% of {i}.")
    other = rounded_percent(second.fraction or 0) if second else None
    if own and second and other and voice.coin():
        text = f"{n.cap} {n.cover} about {own}% of {i}, and {noun(second.name).text} about {other}%."
        return text, (leader.name, second.name)
    return voice.pick(ways), (leader.name,)


def say_caption(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """A sentence."""
    text, names = opening(view, voice)
    return (Pair(voice.pick(SHORT).format(i=voice.image), text, "caption", names),)


def say_detailed(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Several sentences, each of which says one thing."""
    first, names = opening(view, voice)
    used = list(names)
    sentences = [first]
    voice.whole = True
    most = LEAST + int(voice.coin()) + int(voice.coin())
    start = voice.pick(range(len(SAID)))
    for find, say in SAID[start:] + SAID[:start]:
        if len(sentences) >= min(most, MOST):
            break
        some = [one for one in view.found(find) if find not in ONCE or one.subject not in used]
        if not some:
            continue
        for pair in say(voice.pick(some), view, voice):
            sentence = _plain(pair.answer)
            if sentence not in sentences:
                sentences.append(sentence)
                used += pair.labels_used
    if len(sentences) < LEAST:
        return ()
    question = voice.pick(DETAILED).format(i=voice.image)
    return (Pair(question, " ".join(sentences), "detailed-caption", tuple(dict.fromkeys(used))),)


def _plain(answer: str) -> str:
    """An answer without its yes or no."""
    bare = answer.removeprefix("Yes, ").removeprefix("No, ")
    return bare[0].upper() + bare[1:]


KINDS = (
    Kind("caption", find_caption, say_caption, balanced=False),
    Kind("detailed-caption", find_caption, say_detailed, balanced=False),
)
