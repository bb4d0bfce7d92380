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
    "Who owns the land in {i}?",
    "What will the weather be like here tomorrow?",
    "What is the price of the land?",
    "How many people live here?",
    "Which bird species live here?",
    "Will it rain here tomorrow?",
    "When was this place founded?",
    "What is the population of this place?",
)
"""No satellite tells."""
COLOUR = ("What colour is the ground in {i}?", "What colours does {i} show?")
"""Of a radar."""
CANNOT = (
    "This cannot be known from this image.",
    "That cannot be determined from this image.",
    "It is not possible to tell this from this image.",
    "The image does not tell this.",
    "It is impossible to say from this image.",
    "There is not enough information in this image.",
)


def find_abstention(view: View) -> list[Found]:
    """What cannot be answered; `subject` says of which sort it is."""
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
    """What cannot be answered from here."""
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
