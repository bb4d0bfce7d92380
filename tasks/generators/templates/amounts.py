"""How much, how many, how large, and which of two is more."""

from tasks.dialogue.facts import MARGIN, SHARES, Label, share_name
from tasks.dialogue.pairs import Pair
from tasks.generators.templates.kind import Kind, yes_no
from tasks.generators.templates.nouns import noun
from tasks.generators.templates.view import CLEAR, View
from tasks.generators.templates.voice import Found, Voice

HOW_MUCH = (
    "How much of {i} is {n.text}?",
    "How much of {i} is covered by {n.text}?",
    "What share of {i} is covered by {n.text}?",
    "How large a share of {i} is {n.text}?",
)
PERCENT = (
    "About what percentage of {i} is {n.text}?",
    "About how many percent of {i} are covered by {n.text}?",
    "Roughly what percentage of {i} is covered by {n.text}?",
)
MAPPED = ("How much of {i} is mapped as {n.text}?", "What share of {i} is mapped as {n.text}?")
PERCENT_MAPPED = (
    "About what percentage of {i} is mapped as {n.text}?",
    "Roughly what percentage of {i} is mapped as {n.text}?",
)
SAID_SHARE = ("{n.cap} {n.cover} {share} of {i}.", "{Share} of {i} is {n.text}.")
MORE = (
    "Is there more {a} than {b} in {i}?",
    "Does {a} cover more of {i} than {b}?",
    "Is {a} more extensive than {b} in {i}?",
    "Is more of {i} covered by {a} than by {b}?",
)
LESS = (
    "Is there less {a} than {b} in {i}?",
    "Does {a} cover less of {i} than {b}?",
    "Is {a} less extensive than {b} in {i}?",
    "Does {a} cover less area in {i} than {b}?",
)
WHICH = (
    "Which covers more of {i}, {a} or {b}?",
    "Which is more extensive in {i}, {a} or {b}?",
    "Which takes up more of {i}: {a} or {b}?",
)
AREAS = (
    "How many mapped areas of {n.text} does {i} show?",
    "How many separate areas of {n.text} are mapped in {i}?",
    "How many areas of {n.text} are mapped in {i}?",
)
POINTS = (
    "How many {many} are mapped in {i}?",
    "How many mapped {many} does {i} show?",
    "How many mapped {many} are there in {i}?",
)
HECTARES = (
    "About how many hectares of {i} {be} covered by {n.text}?",
    "About how many hectares does {n.text} cover in {i}?",
    "Roughly how large is the area of {n.text} in {i}, in hectares?",
)
HECTARES_MAPPED = "About how many hectares of {i} are mapped as {n.text}?"
LENGTH = (
    "About how long {be} the mapped {n.text} in {i} in total?",
    "Roughly how long {be} the mapped {n.text} in {i} in total?",
)
MOST = 9
"""Features that can be counted at a glance."""


def find_whole_share(view: View) -> list[Found]:
    """Those of which there is no more than is mapped."""
    whole = {label.name for label in view.clear if view.is_all(label)}
    return [found for found in find_share(view) if found.subject in whole]


def find_share(view: View) -> list[Found]:
    """Shares that are clear of the bounds between two answers."""
    out = []
    for label in view.clear:
        fraction = label.fraction or 0.0
        if all(abs(fraction - bound) >= MARGIN for bound, _ in SHARES):
            out.append(Found(label.name, share_name(fraction), (fraction,)))
    return out


def ask_share(label: Label, voice: Voice, mapped: bool) -> tuple[str, str] | None:
    """Question and answer about a label's share, in words or in percent; None near a bound of both.

    Args:
        label: in a chip.
        voice: that asks.
        mapped: whether it is asked only for what is mapped, for there may be more.
    """
    fraction, n = label.fraction or 0.0, noun(label.name)
    words = all(abs(fraction - bound) >= MARGIN for bound, _ in SHARES)
    percent = rounded_percent(fraction)
    if not words and percent is None:
        return None
    in_words = words and (percent is None or voice.coin())
    share = share_name(fraction) if in_words else f"{percent}%"
    forms = (MAPPED if mapped else HOW_MUCH) if in_words else (PERCENT_MAPPED if mapped else PERCENT)
    question = voice.pick(forms).format(n=n, i=voice.image)
    if not voice.whole or mapped:
        return question, share
    about = share if share[0].isalpha() else f"about {share}"
    said = voice.pick(SAID_SHARE).format(n=n, i=voice.image, share=about, Share=about[0].upper() + about[1:])
    return voice.question(question), said


def rounded_percent(fraction: float) -> int | None:
    """Percent to the nearest ten, or five where that is nearer; None where it is near a bound between two."""
    for step, off in ((10, 2.0), (5, 1.5)):
        percent = step * round(100 * fraction / step)
        if abs(100 * fraction - percent) <= off and 0 < percent < 100:
            return percent
    return None


def say_share(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How much of the image is X?"""
    label = next(label for label in view.clear if label.name == found.subject)
    asked = ask_share(label, voice, not view.is_all(label))
    return (Pair(*asked, "share", (found.subject,)),) if asked else ()


def find_comparison(view: View) -> list[Found]:
    """Pairs of labels whose shares clearly differ; the answer is the larger one."""
    shares = [(label.name, label.fraction or 0.0) for label in view.areas if view.is_all(label)]
    return [
        Found("|".join(sorted((a, b))), a, (a, b))
        for place, (a, more) in enumerate(shares)
        for b, less in shares[place + 1 :]
        if more - less >= CLEAR
    ]


def say_comparison(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """Is there more X than Y? Which is more? In either order."""
    larger, smaller = (str(name) for name in found.data)
    first, second = (larger, smaller) if voice.coin() else (smaller, larger)
    a, b, i = noun(first).text, noun(second).text, voice.image
    if voice.coin() and voice.coin():
        question = voice.pick(WHICH).format(a=a, b=b, i=i)
        n, other = noun(larger), noun(smaller).text
        answer = f"{n.cap} {n.cover} more of {i} than {other}." if voice.whole else n.text
    else:
        more = voice.coin()
        question = voice.pick(MORE if more else LESS).format(a=a, b=b, i=i)
        holds = (first == larger) == more
        n, other, word = noun(first), noun(second).text, "more" if (first == larger) else "less"
        answer = yes_no(holds)
        if voice.whole:
            answer = f"{answer.capitalize()}, {n.text} {n.cover} {word} of {i} than {other}."
    return (Pair(voice.question(question), answer, "comparison", (larger, smaller)),)


def find_count(view: View) -> list[Found]:
    """Labels with a few counted features, each of them seen whole."""
    points = [label for label in view.objects if label.kind == "point"]
    taken = {label.name for label in view.facts.labels if label.kind == "area"} if points else set()
    return [
        Found(label.name, str(label.count), (label.kind,))
        for label in [*view.clear, *(point for point in points if point.name not in taken)]
        if label.count and label.count <= MOST
    ]


def say_count(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How many X are mapped?"""
    n, area = noun(found.subject), found.data[0] == "area"
    question = voice.pick(AREAS if area else POINTS).format(n=n, i=voice.image, many=n.many())
    answer = found.answer
    if voice.whole:
        one = answer == "1"
        what = f"mapped {'area' if one else 'areas'} of {n.text}" if area else f"mapped {n.text if one else n.many()}"
        answer = f"There {'is' if one else 'are'} {answer} {what} in {voice.image}."
    return (Pair(voice.question(question), answer, "count", (found.subject,)),)


def find_size(view: View) -> list[Found]:
    """Areas in hectares and lengths of lines."""
    side, out = view.facts.side, []
    if side:
        for label in view.clear:
            text = two_digits((label.fraction or 0.0) * side**2 / 1e4)
            out += [Found(label.name, text, ("area" if view.is_all(label) else "mapped",))] if text else []
    for label in view.objects:
        text = two_digits(label.length) if label.kind == "line" and label.length else ""
        out += [Found(label.name, text, ("line",))] if text else []
    return out


def say_size(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How large, how long?"""
    n, i = noun(found.subject), voice.image
    if found.data[0] == "area":
        question = voice.question(voice.pick(HECTARES).format(n=n, i=i, be="are"))
        size = f"about {found.answer} hectares"
        return (Pair(question, f"{n.cap} {n.cover} {size} of {i}." if voice.whole else size, "size", (found.subject,)),)
    if found.data[0] == "mapped":
        question, size = HECTARES_MAPPED.format(n=n, i=i), f"about {found.answer} hectares"
    else:
        question = voice.pick(LENGTH).format(n=n, i=i, be=n.be)
        metres = float(found.answer)
        size = f"about {found.answer} metres" if metres < 2000 else f"about {metres / 1000:g} kilometres"
    return (Pair(question, size, "size", (found.subject,)),)


def two_digits(value: float) -> str:
    """A number to two digits; empty below 2."""
    return "" if value < 2 else f"{float(f'{value:.2g}'):g}"


KINDS = (
    Kind("share", find_share, say_share),
    Kind("comparison", find_comparison, say_comparison),
    Kind("count", find_count, say_count),
    Kind("size", find_size, say_size, balanced=False),
)
