"""What the pixels say by themselves: spectral indices, backscatter, temperature."""

from tasks.dialogue.pairs import Pair
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

INDICES = {"ndvi": "NDVI", "ndwi": "NDWI", "nbr": "NBR"}
"""How people write an index; see tasks/earth/chip_measures.py."""
ZERO = 273.15
"""Kelvin at the freezing point of water."""
MEAN = (
    "What is the mean {q} of {i}?",
    "What is the average {q} of {i}?",
    "How high is the mean {q} of {i}?",
)
BACKSCATTER = (
    "What is the mean {q} backscatter of {i} in decibels?",
    "How strong is the mean {q} backscatter of {i}, in dB?",
    "What is the average {q} backscatter of {i} in dB?",
)
TEMPERATURE = (
    "What is the mean surface temperature of {i} in {unit}?",
    "What is the average surface temperature of {i} in {unit}?",
)


def find_spectral(view: View) -> list[Found]:
    """Means of indices, to one decimal."""
    out = []
    for name, written in INDICES.items():
        measured = view.facts.pixels.get(name)
        mean = round(measured["mean"], 1) if measured else 0.0
        if measured and abs(measured["mean"] - mean) <= 0.035:
            out.append(Found(written, f"{mean + 0:.1f}"))
    return out


def say_spectral(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How high is an index?"""
    question = voice.question(voice.pick(MEAN).format(q=found.subject, i=voice.image))
    whole = f"The mean {found.subject} of {voice.image} is about {found.answer}."
    return (Pair(question, whole if voice.whole else found.answer, "spectral"),)


def find_backscatter(view: View) -> list[Found]:
    """Means of the radar's bands to a decibel."""
    return [
        Found(name, f"{round(measured['mean'])} dB")
        for name, measured in view.facts.pixels.items()
        if name not in INDICES and name != "temperature" and abs(measured["mean"] - round(measured["mean"])) <= 0.35
    ]


def say_backscatter(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How strong is the backscatter?"""
    q = found.subject.upper()
    question = voice.question(voice.pick(BACKSCATTER).format(q=q, i=voice.image))
    answer = f"The mean {q} backscatter of {voice.image} is about {found.answer}." if voice.whole else found.answer
    return (Pair(question, answer, "backscatter"),)


def find_temperature(view: View) -> list[Found]:
    """The mean temperature of the surface, to a degree."""
    measured = view.facts.pixels.get("temperature")
    if not measured:
        return []
    units = (("degrees Celsius", "°C", measured["mean"] - ZERO), ("kelvin", "K", measured["mean"]))
    return [Found(unit, f"{round(value)} {sign}") for unit, sign, value in units if abs(value - round(value)) <= 0.35]


def say_temperature(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """How warm is the surface?"""
    question = voice.question(voice.pick(TEMPERATURE).format(unit=found.subject, i=voice.image))
    whole = f"The mean surface temperature of {voice.image} is about {found.answer}."
    return (Pair(question, whole if voice.whole else found.answer, "temperature"),)


KINDS = (
    Kind("spectral", find_spectral, say_spectral, balanced=False, of_pixels=True),
    Kind("backscatter", find_backscatter, say_backscatter, balanced=False, of_pixels=True),
    Kind("temperature", find_temperature, say_temperature, balanced=False, of_pixels=True),
)
