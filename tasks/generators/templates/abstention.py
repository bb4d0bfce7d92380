"""Questions that no image, or not this one, can answer; some of them can be answered of another sensor's."""

from tasks.dialogue.pairs import Pair
from tasks.earth.display_sensors import ALL, POLARISATIONS
from tasks.generators.templates.kind import Kind
from tasks.generators.templates.pixels import BACKSCATTER, MEAN, TEMPERATURE
from tasks.generators.templates.view import View
from tasks.generators.templates.voice import Found, Voice

UNKNOWABLE = (
    "How many people live in the area of {i}?",
    "What is the population of the place shown in {i}?",
    "What is the name of the nearest street in {i}?",
    "Who owns the land in {i}?",
    "What will the weather be like here tomorrow?",
    "How many people are inside the buildings in {i}?",
    "What is the price of land in {i}?",
    "Which language do the people in {i} speak?",
    "What did the people here have for breakfast?",
    "How old are the trees in {i} on average?",
    "What is the telephone number of the nearest town hall?",
    "How deep is the groundwater under {i}?",
)
"""No satellite tells."""
COLOUR = ("What colour is the ground in {i}?", "Which colour is the water in {i}?", "What colours does {i} show?")
"""Of a radar."""
CANNOT = (
    "This cannot be told from this image.",
    "That cannot be determined from this image.",
    "It is not possible to tell this from this image.",
    "The image does not tell this.",
    "There is no way to know this from the image.",
)


def find_abstention(view: View) -> list[Found]:
    """What cannot be told; `subject` says of which sort it is."""
    sensor = ALL[view.facts.sensor]
    out = [Found("unknowable", "")]
    if sensor.rgb is None:
        out += [Found("colour", ""), Found("index", "")] if sensor.polarisations else []
    else:
        out.append(Found("backscatter", ""))
    # Of a sensor that has the band in some products, this chip may not.
    if "temperature" not in view.facts.pixels:
        out.append(Found("temperature", ""))
    return out


def say_abstention(found: Found, view: View, voice: Voice) -> tuple[Pair, ...]:
    """What cannot be told from here."""
    questions = {
        "unknowable": UNKNOWABLE,
        "colour": COLOUR,
        "index": MEAN,
        "backscatter": BACKSCATTER,
        "temperature": TEMPERATURE,
    }[found.subject]
    quantity = "NDVI" if found.subject == "index" else voice.pick(POLARISATIONS[0])
    question = voice.pick(questions).format(i=voice.image, q=quantity, unit="degrees Celsius")
    return (Pair(question, voice.pick(CANNOT), "abstention"),)


KINDS = (Kind("abstention", find_abstention, say_abstention, balanced=False),)
