"""Cases about how many, how large and how long: counts, areas and lengths with their units."""

from tasks.quality import words
from tasks.quality.known import Known, pick
from tasks.quality.writing import Pen

MAPPED_COUNT = (
    "How many mapped areas of {x} does this image show?", "How many separate areas labelled as {x} are there?",
    "What is the number of mapped {x} areas?", "Count the annotated areas of {x}.",
    "How many areas are mapped as {x} here?",
)  # fmt: skip
POINT_COUNT = (
    "How many mapped {x} are there in this image?", "What is the number of annotated {x} in the scene?",
    "Count the labelled {x}.",
    "How many {x} are mapped here?", "How many labelled {x} does the picture contain?",
)  # fmt: skip
COUNTS = (
    "{n}",
    "{n}.",
    "{word}",
    "{word}.",
    "There are {word}.",
    "I count {n}.",
    "The number is {n}.",
    "It shows {word} of them.",
    "There are {n} in total.",
)


def count(known: Known, pen: Pen) -> None:
    """How many mapped X? And off by one."""
    for label in pick(pen.draw, [a for a in known.here if a.count and words.known(a.name)], 3):
        if label.kind == "line" or not 2 <= (label.count or 0) <= 9:
            continue
        right = label.count or 0
        noun = known.names(label.name)[0]
        questions = POINT_COUNT if noun.plural else MAPPED_COUNT
        for number, truth in ((right, True), (right + 1, False), (right - 1, False)):
            claim = {"is": "count", "label": label.name, "count": number}
            answers = [text for text in COUNTS if number != 1 or text.rstrip(".") in ("{n}", "{word}")]
            kind = "count" if truth else "count off by one"
            pen.write(kind, "count", questions, answers, claim, truth, x=noun, n=number, word=words.number(number))


def written(value: float) -> str:
    """A number with three significant digits."""
    return f"{float(f'{value:.3g}'):,.10g}" if value < 1000 else f"{float(f'{value:.3g}'):.0f}"


def extent(known: Known, pen: Pen) -> None:
    """Areas and lengths with their units, and with another unit."""
    side = known.facts.side
    if not side:
        return
    ground = side * side
    asks = (
        "How large is the area of {x} in this image?",
        "What area {x:does} {x} cover?",
        "How much ground does {x} occupy here?",
        "What is the area of {x}?",
    )
    says = (
        "{n} {unit}",
        "About {n} {unit}.",
        "Roughly {n} {unit}",
        "{x} {x:cover} {n} {unit}.",
        "It is about {n} {unit}.",
    )
    units = {
        "hectares": 1e4,
        "ha": 1e4,
        "square kilometres": 1e6,
        "km2": 1e6,
        "km\u00b2": 1e6,
        "m2": 1.0,
        "square meters": 1.0,
    }
    for label in pick(pen.draw, known.sized, 1):
        noun = known.mass(label.name)
        metres = (label.fraction or 0.0) * ground
        unit = pen.draw.choice(list(units))
        other = pen.draw.choice([name for name, size in units.items() if size != units[unit]])
        number = metres / units[unit]
        for name, truth in ((unit, True), (other, False)):
            said = number * units[name]
            claim = {"is": "area", "label": label.name, "low": said * 0.95, "high": said * 1.05}
            pen.write(
                "extent" if truth else "wrong unit",
                "area",
                asks,
                says,
                claim,
                truth,
                x=noun,
                n=written(number),
                unit=name,
            )
    long_asks = (
        "How long {x:is} the mapped {x} in this image?",
        "What length of {x} is mapped here?",
        "What is the total length of the mapped {x}?",
    )
    for label in pick(pen.draw, [a for a in known.here if a.length and words.known(a.name)], 1):
        for unit, size, wrong in (("m", 1.0, "km"), ("kilometres", 1000.0, "metres"), ("km", 1000.0, "m")):
            number = (label.length or 0.0) / size
            for name, truth in ((unit, True), (wrong, False)):
                said = number * (1000.0 if name.startswith("k") else 1.0)
                claim = {"is": "length", "label": label.name, "low": said * 0.95, "high": said * 1.05}
                pen.write(
                    "extent" if truth else "wrong unit",
                    "length",
                    long_asks,
                    says[:3],
                    claim,
                    truth,
                    x=known.names(label.name)[0],
                    n=written(number),
                    unit=name,
                )


WRITERS = (count, extent)
