"""The figures of the verifier as tables of Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

HEADS = {
    False: ("False pairs", "corruption", "kept"),
    True: ("True pairs", "asked of, or reworded by", "wrongly contradicted"),
    None: ("Pairs that nobody can decide", "kind", "decided all the same"),
}


def percent(value: float) -> str:
    """A share as a percentage with two digits behind the point."""
    return f"{100 * value:.2f} %"


def interval(share: Mapping[str, Any]) -> str:
    """A share with its interval."""
    return f"{percent(share['share'])} ({percent(share['low'])} to {percent(share['high'])})"


def totals(figures: Mapping[str, Any]) -> str:
    """The totals beside their targets."""
    rows = [
        [one["what"], str(one["cases"]), str(one["events"]), interval(one), *_beside(one["target"], one["met"])]
        for one in figures["totals"].values()
    ]
    return table(["what", "pairs", "of these", "share, 95 % interval", "target", ""], rows)


def _beside(target: float | None, met: bool) -> list[str]:
    """A target, and whether it is met."""
    return ["none", ""] if target is None else [f"at most {100 * target:g} %", "met" if met else "**missed**"]


def kinds(figures: Mapping[str, Any], truth: bool | None) -> str:
    """The kinds of one truth, those that went wrong most often first."""
    _, what, wrong = HEADS[truth]
    chosen = [row for row in figures["kinds"] if row["truth"] is truth]
    chosen.sort(
        key=lambda row: (-row["wrong"]["share"], -row["not_checkable"] / row["cases"], row["suite"], row["kind"])
    )
    rows = [
        [row["kind"], row["suite"], *[str(row[name]) for name in ("cases", "wordings", "supported", "not_checkable",
            "contradicted")], interval(row["wrong"])]
        for row in chosen
    ]  # fmt: skip
    return table(
        [what, "suite", "pairs", "wordings", "supported", "not checkable", "contradicted", f"{wrong}, 95 % interval"],
        rows,
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; numbers stand to the right."""
    sides = [
        "---" if not index or not all(row[index][:1].isdigit() for row in rows) else "---:"
        for index in range(len(head))
    ]
    lines = [head, sides, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def sections(figures: Mapping[str, Any]) -> str:
    """All tables, each under its heading."""
    parts = ["## Totals\n", totals(figures)]
    for truth, (title, *_) in HEADS.items():
        parts += [f"\n## {title}\n", kinds(figures, truth)]
    return "\n".join(parts)
