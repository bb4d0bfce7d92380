"""Every atom against the facts of a chip."""

from collections.abc import Callable
from typing import Any

from tasks.dialogue.facts import ChipFacts
from tasks.dialogue.pairs import Evidence
from tasks.dialogue.verifier import checks_of_amounts as amounts
from tasks.dialogue.verifier import checks_of_places as places
from tasks.dialogue.verifier import expressions as e
from tasks.dialogue.verifier.lexicon import COUNTRY_NAMES
from tasks.dialogue.verifier.normal import words_of
from tasks.dialogue.verifier.outcomes import Outcome, unknown
from tasks.earth.sensors import SENSORS

TROPICS = 23.5
SEASONS = ("winter", "spring", "summer", "autumn")
"""Meteorological, of the northern hemisphere, from December on."""


def decide(facts: ChipFacts, atom: e.Atom) -> Outcome:
    """What the facts say of an atom."""
    return CHECKS[type(atom)](facts, atom)


def season_of(month: int, latitude: float) -> str | None:
    """Season of a month; None in the tropics, which have others."""
    if abs(latitude) < TROPICS:
        return None
    return SEASONS[(month % 12 // 3 + (0 if latitude > 0 else 2)) % 4]


def _taken(facts: ChipFacts, atom: e.Taken) -> Outcome:
    if facts.taken is None:
        return unknown("the date of the chip is not known")
    when = facts.taken
    evidence = (Evidence("metadata", "taken", value=f"{when:%Y-%m-%d}"),)
    if atom.season:
        if facts.latitude is None:
            return unknown("the place of the chip is not known")
        season = season_of(when.month, facts.latitude)
        if season is None:
            return unknown("the chip lies in the tropics, which have no such seasons")
        return Outcome(season == atom.season, f"it was taken in {season}", evidence)
    same = all(
        wanted is None or wanted == own
        for wanted, own in ((atom.year, when.year), (atom.month, when.month), (atom.day, when.day))
    )
    return Outcome(same, f"it was taken on {when:%Y-%m-%d}", evidence)


def _located(facts: ChipFacts, atom: e.Located) -> Outcome:
    if facts.country is None:
        return unknown("the country of the chip is not known for certain")
    evidence = (Evidence("metadata", "country", value=facts.country),)
    same = _country(facts.country) == _country(atom.country)
    return Outcome(same, f"it lies in {facts.country}", evidence)


def _country(name: str) -> str:
    return COUNTRY_NAMES.get(" ".join(words_of(name)), name)


def _hemisphere(facts: ChipFacts, atom: e.Hemisphere) -> Outcome:
    place = facts.latitude if atom.name in ("northern", "southern") else facts.longitude
    if place is None:
        return unknown("the place of the chip is not known")
    positive = atom.name in ("northern", "eastern")
    evidence = (Evidence("metadata", "latitude" if atom.name.endswith("thern") else "longitude", value=place),)
    return Outcome((place > 0) == positive, f"it lies at {place:.2f} degrees", evidence)


def _sensed(facts: ChipFacts, atom: e.Sensed) -> Outcome:
    evidence = (Evidence("metadata", "sensor", value=facts.platform or facts.sensor),)
    reason = f"it was taken by {facts.platform or facts.sensor}"
    sensor = SENSORS.get(facts.sensor)
    if atom.name.lower() in ("radar", "optical", "multispectral", "sar") or "radar" in atom.name.lower():
        if sensor is None:
            return unknown(f"nothing is known of the sensor '{facts.sensor}'")
        return Outcome(
            (sensor.unit == "dB") == (atom.name.lower() not in ("optical", "multispectral")), reason, evidence
        )
    own, said = _plain(facts.sensor), _plain(atom.name)
    if said == own:
        return Outcome(True, reason, evidence)
    platform = _plain(facts.platform)
    if not platform:
        return Outcome(None if said.startswith(own) else False, reason, evidence)
    letters = _plain(facts.sensor).rstrip("0123456789")
    short = {platform, platform.replace(letters, letters[:1])}  # S2A of a longer name
    return Outcome(said in short or (said == platform[: len(said)] and said.startswith(own)), reason, evidence)


def _plain(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _quantity(facts: ChipFacts, atom: e.Quantity) -> Outcome:
    found = facts.pixels.get(atom.name, {}).get(atom.statistic)
    if found is None:
        return unknown(f"the pixels of the chip do not tell its {atom.name}")
    evidence = (Evidence("pixels", atom.name, value={atom.statistic: found}),)
    slack = 0.01 if atom.statistic == "share" else 0.0
    return Outcome(atom.value.holds(found, slack), f"the {atom.statistic} of {atom.name} is {found:g}", evidence)


def _cannot_be_seen(facts: ChipFacts, atom: e.CannotBeSeen) -> Outcome:
    sensor = SENSORS.get(facts.sensor)
    if atom.needs == "optical":
        hidden = sensor is not None and sensor.unit == "dB"
    else:
        hidden = not atom.needs or atom.needs not in facts.pixels
    return Outcome(
        hidden, f"the chip does show its {atom.topic}", (Evidence("metadata", "sensor", value=facts.sensor),)
    )


def _unread(facts: ChipFacts, atom: e.Unread) -> Outcome:
    return unknown(f"not understood: {atom.words}")


CHECKS: dict[type, Callable[[ChipFacts, Any], Outcome]] = {
    e.Presence: amounts.presence,
    e.Count: amounts.count,
    e.Share: amounts.share,
    e.Extreme: amounts.extreme,
    e.More: amounts.more,
    e.Equal: amounts.equal,
    e.Ratio: amounts.ratio,
    e.Complete: amounts.complete,
    e.Changed: amounts.changed,
    e.Extent: amounts.extent,
    e.Position: places.position,
    e.Beside: places.beside,
    e.Adjacent: places.adjacent,
    e.Boxes: places.boxes,
    e.Region: places.in_region,
    e.Taken: _taken,
    e.Located: _located,
    e.Hemisphere: _hemisphere,
    e.Sensed: _sensed,
    e.Quantity: _quantity,
    e.CannotBeSeen: _cannot_be_seen,
    e.Unread: _unread,
}
