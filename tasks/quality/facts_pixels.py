"""Cases about what the pixels measure, and numbers that are clearly off."""

from tasks.quality.known import Known
from tasks.quality.writing import Pen, Statement, flip, tell

INDEX = {"ndvi": ("NDVI", 0.3), "ndwi": ("NDWI", 0.4), "nbr": ("NBR", 0.35)}
"""What an index is called, and by how much a wrong mean is off."""
MEAN_ASKS = (
    "What is the mean {q} of this image?",
    "What is the average {q} over the scene?",
    "How high is the {q} on average?",
    "Give the mean {q} of this chip.",
    "What {q} does the scene have on average?",
)
MEAN = ("{n}", "About {n}.", "The mean {q} is {n}.", "It is about {n}.", "Around {n}", "On average {n}.")
WARM_ASKS = (
    "What is the mean surface temperature?",
    "How warm is the surface on average?",
    "What is the average temperature of the ground here?",
    "Give the mean land surface temperature of this scene.",
)
WARM = ("{n} {unit}", "About {n} {unit}.", "It is around {n} {unit}.", "The mean temperature is {n} {unit}.")


def pixels(known: Known, pen: Pen) -> None:
    """What the bands measure, and numbers that are clearly off."""
    measured = known.facts.pixels
    for quantity in sorted(measured):
        mean = measured[quantity]["mean"]
        if quantity in INDEX:
            name, off = INDEX[quantity]
            wrong = mean + (off if mean < 0.2 else -off)
            for value, truth in ((mean, True), (wrong, False)):
                claim = {"is": "mean", "quantity": quantity, "low": value - 0.06, "high": value + 0.06}
                pen.write(
                    "spectral" if truth else "wrong statistics",
                    "spectral",
                    MEAN_ASKS,
                    MEAN,
                    claim,
                    truth,
                    q=name,
                    n=f"{value:.2f}",
                )
            if quantity != "nbr":
                surface(quantity, measured[quantity]["share"], pen)
        elif quantity == "temperature":
            for value, truth in ((mean, True), (mean + pen.draw.choice((-20.0, 20.0)), False)):
                claim = {"is": "mean", "quantity": quantity, "low": value - 1.5, "high": value + 1.5}
                unit, zero = pen.draw.choice(
                    (("K", 0.0), ("kelvin", 0.0), ("\u00b0C", 273.15), ("degrees Celsius", 273.15))
                )
                pen.write(
                    "temperature" if truth else "wrong statistics",
                    "temperature",
                    WARM_ASKS,
                    WARM,
                    claim,
                    truth,
                    n=f"{value - zero:.0f}",
                    unit=unit,
                )
        else:
            for value, truth in ((mean, True), (mean + pen.draw.choice((-7.0, 7.0)), False)):
                claim = {"is": "mean", "quantity": quantity, "low": value - 1.0, "high": value + 1.0}
                pen.write(
                    "backscatter" if truth else "wrong statistics",
                    "backscatter",
                    MEAN_ASKS,
                    tuple(f"{text.rstrip('.')} dB" for text in MEAN),
                    claim,
                    truth,
                    q=f"{quantity.upper()} backscatter",
                    n=f"{value:.1f}",
                )


def surface(quantity: str, share: float, pen: Pen) -> None:
    """Whether most of the image is above the threshold of an index."""
    if abs(share - 0.5) < 0.15:
        return
    what, rule = ("vegetated", "an NDVI above 0.4") if quantity == "ndvi" else ("open water", "an NDWI above 0")
    it = Statement(
        "spectral", {"is": "share of pixels", "quantity": quantity, "low": 0.5, "high": 1.0},
        {"is": "share of pixels", "quantity": quantity, "low": 0.0, "high": 0.5}, share > 0.5,
        ("Do more than half of the pixels have {rule}?", "Does the greater part of the image have {rule}?",
         "Is more than half of the scene {what}, that is with {rule}?"),
        ("more than half of the pixels have {rule}.",), ("less than half of the pixels have {rule}.",), {"what": what,
        "rule": rule},
    )  # fmt: skip
    tell(pen, "spectral", it)
    flip(pen, "wrong statistics", it)


WRITERS = (pixels,)
