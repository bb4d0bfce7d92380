"""What the experts of RS-MoE do, for people: the tables of stage `routing`, in sentences and shades."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.pages.gallery import MODALITIES, Rendering, render
from tasks.pages.report_data import ReportData

ROUTINGS = {
    "rule": "the expert whose text it is",
    "router": "all experts, mixed by the router\u2019s weights",
    "likeliest": "the expert of the largest weight",
    "uniform": "all experts, mixed with equal weights",
    "random": "an expert drawn by lot",
    "swapped": "one of the wrong experts",
}
"""The routings that are compared, by their names in routing.json."""


@dataclass(frozen=True)
class Cell:
    """A number of a matrix."""

    value: float | None
    shade: int
    """Of its ground, 0 to 100."""
    best: bool
    """Of its row."""


@dataclass(frozen=True)
class RoutedExample:
    """A held-out question, with what each expert writes and what is made of it."""

    question: str
    shown: str
    picture: Rendering | None
    chip_id: str
    sensor: str
    expected: str
    answer: str
    joined: bool
    texts: Sequence[tuple[str, float, str]]
    """(expert, its weight, its text)."""


def context(data: ReportData) -> Mapping[str, Any]:
    """Everything that the section shows."""
    found = data.routing
    names = found["experts"]
    return {
        "experts": list(zip(names, found["templates"], strict=True)),
        "units": found["units"],
        "loss": list(zip(names, _matrix(found["loss"], least=True), strict=True)),
        "weights": list(zip(names, _matrix(found["weights"], least=False), strict=True)),
        "routings": [(title, found["routings"][name]) for name, title in ROUTINGS.items() if name in found["routings"]],
        "verdict": verdict(found),
        "likeness": likeness(found["collapse"]),
        "examples": _examples(data),
    }


def _matrix(rows: Sequence[Sequence[float | None]], least: bool) -> list[list[Cell]]:
    """Rows shaded from their own worst to their own best number."""
    out = []
    for row in rows:
        there = [value for value in row if value is not None]
        low, high = (min(there), max(there)) if there else (0.0, 0.0)
        best = low if least else high
        span = (high - low) or 1.0
        out.append(
            [
                Cell(None, 0, False)
                if value is None
                else Cell(value, round(100 * ((high - value) if least else (value - low)) / span), value == best)
                for value in row
            ]
        )
    return out


def verdict(found: Mapping[str, Any]) -> tuple[str, str]:
    """(mood, whether it matters who is asked and whether the router knows it), each by 95 % intervals over chips."""
    routings, collapsed = found["routings"], found["collapse"]["collapsed"]
    swapped, router, uniform = (routings[name] for name in ("swapped", "router", "uniform"))
    matters = swapped["cost_interval"][0] > 0
    knows = router["cost_interval"][1] < uniform["cost_interval"][0]
    text = "It matters who is asked" if matters else "It cannot be told whether it matters who is asked"
    text += f": a wrong expert costs {_cost(swapped)} nats a token over the one whose text it is. "
    text += "The router knows some of it" if knows else "It cannot be told whether the router knows it"
    text += f": with its weights the mixture is {_cost(router)} above that, with equal ones {_cost(uniform)}."
    if collapsed:
        text += " The experts have collapsed: their prompts and adapters, or their texts, are one."
    return ("better" if matters and knows and not collapsed else "level"), text


def _cost(routing: Mapping[str, Any]) -> str:
    low, high = routing["cost_interval"]
    return f"{routing['cost']:.3f} ({low:.3f} to {high:.3f})"


def likeness(collapse: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(what is compared, its number, how to read it), as far as it could be measured."""
    rows = [
        ("prompts of two experts", "prompt_likeness", "cosine; 1 would be one and the same prompt"),
        ("what the router adds to a prompt", "prompt_change", "its length over that of the template"),
        ("adapters of two experts", "adapter_likeness", "cosine; 1 would be one and the same expert"),
        ("words that two experts\u2019 texts share", "text_overlap", "share of all their words"),
        ("texts that are the same", "same_texts", "share of the questions answered in full"),
        (
            "spread of the router\u2019s weights",
            "weight_entropy",
            "1 where all experts weigh the same, 0 where one does",
        ),
        ("largest weight on the right expert", "agreement", "share of the answers that are one expert\u2019s"),
    ]
    return [(what, f"{collapse[key]:.2f}", how) for what, key, how in rows if collapse.get(key) is not None]


def _examples(data: ReportData) -> list[RoutedExample]:
    names, found = data.routing["experts"], data.routing["examples"]
    pictures: dict[tuple[str, str], list[Rendering]] = {}
    for sensor in data.sensors:
        chips = sorted({one["chip_id"] for one in found if one["sensor"] == sensor.sensor.name})
        rows = sensor.chip_rows(chips)
        pictures |= {(sensor.sensor.name, chip): render(row["pixels"], sensor) for chip, row in rows.items()}
    out = []
    for one in found:
        shown = pictures.get((one["sensor"], one["chip_id"]), [])
        # What the eye has of all bands is the false colours.
        picture = shown[-1 if one["modality"] == "ms" else 0] if shown else None
        out.append(
            RoutedExample(
                question=one["question"],
                shown=MODALITIES.get(one["modality"], one["modality"]),
                picture=picture,
                chip_id=one["chip_id"],
                sensor=one["sensor"],
                expected=one["expected"],
                answer=one["answer"],
                joined=one["subtask"] is None,
                texts=list(zip(names, one["weights"], one["texts"], strict=True)),
            )
        )
    return out
