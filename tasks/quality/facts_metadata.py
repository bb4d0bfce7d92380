"""Cases about the image itself: date, season, country and sensor."""

from datetime import date, timedelta
from typing import Any

from tasks.earth.sensors import SENSORS, Sensor
from tasks.quality import words
from tasks.quality.known import Known
from tasks.quality.writing import Pen, Statement, flip, flip_sentence, tell

WHEN = (
    "When was this image taken?", "On what date was the scene acquired?",
    "What is the acquisition date of this picture?",
    "When was this picture captured?", "From which day is this image?", "What day was this scene recorded on?",
)  # fmt: skip
DATED = (
    "{iso}",
    "{day} {month} {year}",
    "{month} {day}, {year}",
    "On {day} {month} {year}.",
    "It was taken on {iso}.",
    "The acquisition date is {month} {day}, {year}.",
)
YEARS = (
    "In which year was this image taken?",
    "What year is this scene from?",
    "Which year does the picture date from?",
)
YEAR = ("{year}", "{year}.", "In {year}.", "It was taken in {year}.", "The image is from {year}.")
MONTH_ASKS = (
    "In which month was this image taken?",
    "What month was this scene acquired in?",
    "Which month does the picture show?",
)
MONTH = ("{month}", "{month}.", "In {month}.", "It was acquired in {month}.")
SEASON_ASKS = (
    "In which season was this image taken?",
    "What season is it in this picture?",
    "Which season does the scene show?",
    "At what time of year was the image taken?",
)
SEASON = ("{season}", "{season}.", "In {season}.", "It was {season}.", "The image was taken in {season}.")
SEASONS = ("winter", "spring", "summer", "autumn")
SURE_MONTHS = {1: 0, 4: 1, 5: 1, 7: 2, 8: 2, 10: 3, 11: 3}
"""Months that are wholly of one season by any reckoning, in the north."""
TEMPERATE = 30.0
"""Degrees of latitude from which the four seasons are a matter of course."""


def dates(known: Known, pen: Pen) -> None:
    """Date, year, month and season, and wrong ones."""
    taken = known.facts.taken
    if taken is None:
        return
    days = pen.draw.choice((-400, -200, -61, -35, 35, 61, 200, 400))
    for day, truth in ((taken.date(), True), (taken.date() + timedelta(days=days), False)):
        gaps: dict[str, Any] = {
            "iso": day.isoformat(),
            "day": day.day,
            "month": words.MONTHS[day.month - 1],
            "year": day.year,
        }
        kind = "date" if truth else "wrong date"
        pen.write(kind, "date", WHEN, DATED, {"is": "date", "date": day.isoformat()}, truth, **gaps)
        if truth or day.year != taken.year:
            pen.write(kind, "date", YEARS, YEAR, {"is": "year", "year": day.year}, truth, **gaps)
        if truth or day.month != taken.month:
            pen.write(kind, "date", MONTH_ASKS, MONTH, {"is": "month", "month": day.month}, truth, **gaps)
    season(known, taken.date(), pen)


def season(known: Known, day: date, pen: Pen) -> None:
    """Season, where it is beyond doubt."""
    latitude = known.facts.latitude
    if latitude is None or abs(latitude) < TEMPERATE or day.month not in SURE_MONTHS:
        return
    right = (SURE_MONTHS[day.month] + (2 if latitude < 0 else 0)) % 4
    for number, truth in ((right, True), ((right + pen.draw.choice((1, 2, 3))) % 4, False)):
        claim = {"is": "season", "season": SEASONS[number]}
        name = "fall" if SEASONS[number] == "autumn" and pen.draw.random() < 0.5 else SEASONS[number]
        pen.write("season" if truth else "wrong season", "season", SEASON_ASKS, SEASON, claim, truth, season=name)
    for name in (SEASONS[right], SEASONS[(right + 2) % 4]):
        it = Statement(
            "season", {"is": "season", "season": name}, {"is": "not season", "season": name}, name == SEASONS[right],
            ("Was this image taken in {season}?", "Is it {season} in this picture?", "Does the scene show {season}?"),
            ("it was taken in {season}.", "it is {season}."), ("it was not taken in {season}.",
            "it is not {season}."), {"season": name},
        )  # fmt: skip
        tell(pen, "season", it)
        flip(pen, "wrong season", it)


COUNTRY_ASKS = (
    "In which country was this image taken?",
    "Which country does this scene lie in?",
    "What country is this?",
    "Where in the world is this, by country?",
    "This picture was taken over which country?",
)
COUNTRY = ("{c}", "{c}.", "In {c}.", "It lies in {c}.", "The scene is in {c}.")


def called_country(name: str) -> str:
    """A country as it stands in a sentence."""
    return f"the {name.removesuffix(' of America')}" if name.startswith("United") else name


def country(known: Known, pen: Pen) -> None:
    """Country, and another one."""
    right = known.facts.country
    if right is None:
        return
    wrong = pen.draw.choice([name for name in words.COUNTRIES if name != right])
    for name, truth in ((right, True), (wrong, False)):
        claim = {"is": "country", "country": name}
        pen.write(
            "country" if truth else "wrong country",
            "country",
            COUNTRY_ASKS,
            COUNTRY,
            claim,
            truth,
            c=called_country(name),
        )
        it = Statement(
            "country", claim, {"is": "not country", "country": name}, truth,
            ("Was this image taken in {c}?", "Is this scene in {c}?", "Does the picture show a place in {c}?"),
            ("it lies in {c}.", "the scene is in {c}."), ("it does not lie in {c}.", "the scene is not in {c}."),
            {"c": called_country(name)},
        )  # fmt: skip
        tell(pen, "country", it)
        flip(pen, "wrong country", it)


def called(sensor: Sensor) -> str:
    """A sensor's name as it is written."""
    return "-".join(part.capitalize() for part in sensor.name.split("-"))


SENSOR_ASKS = (
    "Which satellite took this image?",
    "What sensor is this image from?",
    "Which mission acquired this scene?",
    "Which satellite mission was this picture taken by?",
    "By which satellite was the scene recorded?",
)
SENSOR = ("{s}", "{s}.", "It was taken by {s}.", "The image is from {s}.", "This is a {s} image.")


def sensors(known: Known, pen: Pen) -> None:
    """Sensor and its kind, and wrong ones."""
    mine = SENSORS[known.facts.sensor]
    other = pen.draw.choice([sensor for sensor in SENSORS.values() if sensor.name != mine.name])
    for sensor, truth in ((mine, True), (other, False)):
        claim = {"is": "sensor", "sensor": sensor.name}
        pen.write("sensor" if truth else "wrong sensor", "sensor", SENSOR_ASKS, SENSOR, claim, truth, s=called(sensor))
        it = Statement(
            "sensor", claim, {"is": "not sensor", "sensor": sensor.name}, truth,
            ("Was this image taken by {s}?", "Is this a {s} image?", "Does this scene come from {s}?"),
            ("it was taken by {s}.", "this is a {s} image."), ("it was not taken by {s}.",
            "this is not a {s} image."), {"s": called(sensor)},
        )  # fmt: skip
        tell(pen, "sensor", it)
        flip(pen, "wrong sensor", it)
    radar = bool(mine.polarisations)
    for kind, holds in (("radar", radar), ("optical", not radar)):
        claim, opposite = {"is": "imaging", "kind": kind}, {"is": "not imaging", "kind": kind}
        it = Statement(
            "sensor",
            claim,
            opposite,
            holds,
            (
                "Is this {a} image?",
                "Was this image taken by {a} sensor?",
                "Does this picture come from {a} instrument?",
            ),
            ("it is {a} image.",),
            ("it is not {a} image.",),
            {"a": "a radar" if kind == "radar" else "an optical"},
        )
        tell(pen, "sensor", it)
        flip(pen, "wrong sensor", it)
        flip_sentence(pen, "wrong sensor", it)


WRITERS = (dates, country, sensors)
