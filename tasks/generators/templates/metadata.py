"""When, where and by which sensor a chip was taken."""

from datetime import UTC, datetime

from tasks.dialogue.pairs import Pair
from tasks.earth.countries import in_a_sentence
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

TROPICS = 23.5
"""Degrees of latitude between which there are no four seasons."""
POLES = 66.5
NORTHERN = (
    ((12, 21), (2, 28), "winter"),
    ((3, 21), (5, 31), "spring"),
    ((6, 21), (8, 31), "summer"),
    ((9, 23), (11, 30), "autumn"),
)
"""First and last day of each season on which astronomers and meteorologists agree."""
OPPOSITE = {"winter": "summer", "summer": "winter", "spring": "autumn", "autumn": "spring"}
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
SEASON = (
    "In which season was {i} taken?",
    "In which season of the year was {i} acquired?",
    "Which season was it when {i} was taken?",
    "What season does {i} date from?",
)
MONTH = (
    "In which month and year was {i} taken?",
    "In which month of which year was {i} acquired?",
)
DAY = ("On which day was {i} taken?", "What is the acquisition date of {i}?", "When was {i} taken?")
COUNTRY = ("In which country does {i} lie?", "In which country was {i} taken?", "Which country does {i} show?")
SENSOR = (
    "Which satellite mission took {i}?",
    "Which sensor was {i} taken by?",
    "Which satellite mission is {i} from?",
)


def season(taken: datetime, latitude: float) -> str | None:
    """The season on the ground; None in the tropics, near the poles and between two seasons."""
    if not TROPICS < abs(latitude) < POLES:
        return None
    day = (taken.month, taken.day)
    for first, last, name in NORTHERN:
        inside = first <= day <= last if first <= last else day >= first or day <= last
        if inside:
            return name if latitude > 0 else OPPOSITE[name]
    return None


def sensor_name(view: View) -> str:
    """The sensor as people write it."""
    return "-".join(part.capitalize() for part in view.facts.sensor.split("-"))


def find_season(view: View) -> list[Found]:
    """The season, from date and latitude."""
    taken, latitude = view.facts.taken, view.facts.latitude
    name = season(taken.astimezone(UTC), latitude) if taken and latitude is not None else None
    return [Found("", name)] if name else []


def find_date(view: View) -> list[Found]:
    """The date."""
    return [Found("", "", (view.facts.taken.astimezone(UTC),))] if view.facts.taken else []


def find_country(view: View) -> list[Found]:
    """The country that wholly holds the chip."""
    return [Found("", view.facts.country)] if view.facts.country else []


def find_sensor(view: View) -> list[Found]:
    """The sensor."""
    return [Found("", sensor_name(view))]


def _say(kind: str, questions: tuple[str, ...], short: str, whole: str, voice: Voice) -> tuple[Pair, ...]:
    question = voice.question(voice.pick(questions).format(i=voice.image))
    answer = whole.format(i=voice.image[0].upper() + voice.image[1:]) if voice.whole else short
    return (Pair(question, answer, kind),)


def say_season(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """In which season?"""
    return _say("season", SEASON, found.answer, f"{{i}} was taken in {found.answer}.", voice)


def say_date(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """In which month, on which day?"""
    taken: datetime = found.data[0]  # type: ignore[assignment]
    month = f"{MONTHS[taken.month - 1]} {taken.year}"
    if voice.whole or voice.coin():
        return _say("date", MONTH, month, f"{{i}} was taken in {month}.", voice)
    return (Pair(voice.pick(DAY).format(i=voice.image), f"{taken.day} {month}", "date"),)


def say_country(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """In which country?"""
    return _say("country", COUNTRY, found.answer, f"{{i}} lies in {in_a_sentence(found.answer)}.", voice)


def say_sensor(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """By which sensor?"""
    return _say("sensor", SENSOR, found.answer, f"{{i}} was taken by {found.answer}.", voice)


KINDS = (
    Kind("season", find_season, say_season),
    Kind("date", find_date, say_date, balanced=False),
    Kind("country", find_country, say_country, balanced=False),
    Kind("sensor", find_sensor, say_sensor, balanced=False),
)
