"""The verifier of pairs about a series: holds what a pair says against the cells of its images, and nothing else.

What is not clear in the facts, by the scales of `tasks.dialogue.series.facts`, is not checkable; nothing is guessed.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Evidence, Pair, Verdict
from tasks.dialogue.series.facts import PARTS, SeriesFacts, scale_of
from tasks.dialogue.series.reading import CHANGES, ORDINALS, UNKNOWN, Asked, answer_to, asked_of, said
from tasks.earth.spectral_rules import CLASSES

WATER = CLASSES[0]
WET, DRY = 0.9, 0.1
"""Share of a cell from which it is open water, and below which it is none."""
LEAST_WATER = 4
"""Cells of open water that must be there for their backscatter to be asked about."""
DARK, BRIGHT = -17.0, -13.0
"""dB of like-polarised backscatter of open water: below, it is smooth and dark; above, wind or ice makes it bright."""


class Cannot(Exception):  # noqa: N818
    """The facts do not tell, with why."""


Truth = tuple[str, tuple[Evidence, ...]]
"""The right answer by its key, and what it rests on."""


def judge_series(facts: SeriesFacts, pairs: Sequence[Pair]) -> list[Verdict]:
    """Verdicts of pairs about a series, in their order."""
    return [_judge(facts, pair) for pair in pairs]


def _judge(facts: SeriesFacts, pair: Pair) -> Verdict:
    asked = asked_of(pair.question)
    if asked is None:
        return Verdict(NOT_CHECKABLE, f"not understood: {pair.question}")
    answer = answer_to(asked, pair.answer)
    if answer is None:
        return Verdict(NOT_CHECKABLE, f"not understood as an answer: {pair.answer}")
    try:
        right, evidence = truth(facts, asked)
    except Cannot as reason:
        return Verdict(NOT_CHECKABLE, str(reason))
    if answer == right:
        return Verdict(SUPPORTED, "", evidence)
    return Verdict(CONTRADICTED, f"the answer is '{right}'", evidence)


def truth(facts: SeriesFacts, asked: Asked) -> Truth:
    """The right answer to a question.

    Raises:
        Cannot: the facts do not tell it for certain.
    """
    if blank := [place for place, image in enumerate(facts.images) if image.is_blank]:
        raise Cannot(f"the {ORDINALS[blank[0]]} image holds no data")
    return _TRUTHS[asked.kind](facts, asked)


def _unmeasured(facts: SeriesFacts, quantity: str) -> tuple[Evidence, ...]:
    """Evidence that the images cannot tell a change of a quantity."""
    names = sorted({image.sensor for image in facts.images})
    return (Evidence("metadata", "sensors", value=names), Evidence("absence", quantity))


def _change(facts: SeriesFacts, asked: Asked) -> Truth:
    if asked.quantity not in facts.shared:
        return UNKNOWN, _unmeasured(facts, asked.quantity)
    found, scale = facts.change(asked.quantity), scale_of(asked.quantity)
    if found is None:
        raise Cannot(f"too little of the window has a {said(asked.quantity)} in both images")
    sign = 0 if abs(found) <= scale.same else int(np.sign(found)) if abs(found) >= scale.clear else None
    if sign is None:
        raise Cannot(f"the {said(asked.quantity)} changed by {found:.3g}, neither clearly nor not at all")
    key = next(name for name, one in CHANGES.items() if one == sign)
    ends = {place: facts.mean(number, asked.quantity) for place, number in (("first", 0), ("last", -1))}
    value = {place: round(mean, 3) for place, mean in ends.items() if mean is not None}
    return key, (Evidence("pixels", asked.quantity, value={**value, "change": round(found, 3)}),)


def _where(facts: SeriesFacts, asked: Asked) -> Truth:
    found = facts.thirds(-1, asked.quantity, less=0)
    if found is None:
        return UNKNOWN, _unmeasured(facts, asked.quantity)
    return _furthest(found, asked.quantity, asked.way, least=scale_of(asked.quantity).clear)


def _place(facts: SeriesFacts, asked: Asked) -> Truth:
    return _furthest(_thirds_of_one(facts, asked.quantity), asked.quantity, asked.way)


def _thirds_of_one(facts: SeriesFacts, quantity: str) -> NDArray[np.float64]:
    """Thirds of the only image that tells a quantity."""
    telling = [place for place, image in enumerate(facts.images) if quantity in image.cells]
    if len(telling) != 1:
        raise Cannot(f"{len(telling)} of the images tell the {said(quantity)}; which one is meant is not said")
    found = facts.thirds(telling[0], quantity)
    assert found is not None  # that image tells it
    return found


def _furthest(values: NDArray[np.float64], quantity: str, way: int, least: float = 0.0) -> Truth:
    """The third with the highest (or lowest) value, ahead of all others by the lead of its scale."""
    if np.isnan(values).any():
        raise Cannot("a part of the area has too few values")
    order = np.argsort(-way * values, kind="stable")
    first, second = values[order[:2]]
    lead = scale_of(quantity).lead
    if way * first < least or way * (first - second) < lead:
        raise Cannot(f"no part of the area stands out: {first:.3g} in the {PARTS[order[0]]}, {second:.3g} beside it")
    value = {PARTS[place]: round(float(values[place]), 3) for place in order[:2].tolist()}
    return PARTS[order[0]], (Evidence("pixels", quantity, value=value),)


def _which(facts: SeriesFacts, asked: Asked) -> Truth:
    place, evidence = _extreme(facts, asked)
    return ORDINALS[place], evidence


def _date(facts: SeriesFacts, asked: Asked) -> Truth:
    own = tuple(f"{image.taken:%Y-%m-%d}" for image in facts.images)
    if asked.dates != own:
        raise Cannot(f"the images were taken on {', '.join(own)}")
    if len(set(own)) < len(own):
        raise Cannot("two images are of one date")
    place, evidence = _extreme(facts, asked)
    return own[place], evidence


def _extreme(facts: SeriesFacts, asked: Asked) -> tuple[int, tuple[Evidence, ...]]:
    if asked.quantity not in facts.shared:
        raise Cannot(f"the images do not all tell the {said(asked.quantity)} by one sensor")
    means = [facts.mean(place, asked.quantity) for place in range(len(facts.images))]
    known = [mean for mean in means if mean is not None]
    if len(known) < len(means):
        raise Cannot(f"too little of the window has a {said(asked.quantity)} in all images")
    order = sorted(range(len(known)), key=lambda place: -asked.way * known[place])
    if abs(known[order[0]] - known[order[1]]) < scale_of(asked.quantity).clear:
        raise Cannot(f"two images have nearly the same {said(asked.quantity)}")
    value = {ORDINALS[place]: round(mean, 3) for place, mean in enumerate(known)}
    return order[0], (Evidence("pixels", asked.quantity, value=value),)


def _radar(facts: SeriesFacts, asked: Asked) -> Truth:
    radars = [place for place, image in enumerate(facts.images) if image.is_radar]
    if len(radars) != 1:
        raise Cannot(f"{len(radars)} of the images were taken by a radar")
    return ORDINALS[radars[0]], (Evidence("metadata", "sensor", value=facts.images[radars[0]].sensor),)


def _taken(facts: SeriesFacts, asked: Asked) -> Truth:
    times = [image.taken for image in facts.images]
    order = sorted(range(len(times)), key=times.__getitem__, reverse=asked.way > 0)
    if times[order[0]] == times[order[1]]:
        raise Cannot("two images were taken at one time")
    value = [f"{time:%Y-%m-%dT%H:%M}" for time in times]
    return ORDINALS[order[0]], (Evidence("metadata", "taken", value=value),)


def _same_place(facts: SeriesFacts, asked: Asked) -> Truth:
    parts, evidence = zip(
        *(
            _furthest(_thirds_of_one(facts, quantity), quantity, way)
            for quantity, way in ((asked.quantity, asked.way), (asked.quantity2, asked.way2))
        ),
        strict=True,
    )
    return "yes" if parts[0] == parts[1] else "no", tuple(one for some in evidence for one in some)


def _smooth(facts: SeriesFacts, asked: Asked) -> Truth:
    """Whether a radar that sees open water of another image sees it dark, by its like-polarised backscatter."""
    radars = [place for place, image in enumerate(facts.images) if image.is_radar]
    optical = [place for place, image in enumerate(facts.images) if WATER in image.cells]
    if len(radars) != 1 or len(optical) != 1:
        raise Cannot("they are not one radar image and one optical image")
    like = next((name for name in facts.images[radars[0]].cells if len(set(name)) == 1), None)
    water = facts.grid(optical[0], WATER)
    power = facts.grid(radars[0], like) if like else None
    if power is None or water is None:
        raise Cannot("the radar image has no like-polarised backscatter")
    wet = (water >= WET) & np.isfinite(power)
    if int(wet.sum()) < LEAST_WATER:
        raise Cannot(f"{int(wet.sum())} cells of the optical image are open water; {LEAST_WATER} are needed")
    level = float(power[wet].mean())
    if DARK < level < BRIGHT:
        raise Cannot(f"the open water has {level:.1f} dB, neither dark nor bright")
    value = {"water": round(level, 2), "cells": int(wet.sum())}
    return "yes" if level <= DARK else "no", (Evidence("pixels", str(like), value=value),)


_TRUTHS: dict[str, Callable[[SeriesFacts, Asked], Truth]] = {
    "change": _change,
    "where": _where,
    "which": _which,
    "date": _date,
    "radar": _radar,
    "taken": _taken,
    "place": _place,
    "same-place": _same_place,
    "smooth": _smooth,
}
