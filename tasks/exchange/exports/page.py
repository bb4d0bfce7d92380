"""The statistics page of an export: one HTML file that needs no other, in the look of the report."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tasks.exchange.exports.card import TITLE
from tasks.exchange.exports.licences import Ledger
from tasks.exchange.exports.tally import LONGEST, Tally
from tasks.pages.report_text import count, listed
from tasks.pages.svg import Plot
from tasks.pages.templates import environment

HERE = Path(__file__).parent
STYLE = HERE.parents[1] / "pages" / "style.css"
"""The report's: one look for all pages."""
SHOWN_ANSWERS = 12
"""Parts of a bar of answers that are drawn; the others are its empty end."""


def page(form: str, tally: Tally, ledger: Ledger, left_out: Mapping[str, int], marked: frozenset[str] | None) -> str:
    """The page as text; see `tasks.exchange.exports.card.card` for the arguments."""
    chips = sum(tally.chips.values())
    conversations = sum(tally.conversations.values())
    pairs = tally.count()
    style = (STYLE.read_text() + (HERE / "page.css").read_text()).replace("\n", "")
    supported = tally.verdicts["supported"]
    series = sum(tally.series.values())
    of_them = f"; {count(series)} series of several" if series else ""
    headline = [
        (count(pairs), "pairs", f"in {count(conversations)} conversations"),
        (count(chips), "chips", f"of {len(tally.sensors)} sensor{'s' if len(tally.sensors) != 1 else ''}{of_them}"),
        (f"{pairs / max(chips, 1):.2f}", "pairs a chip", "over all sensors"),
        (f"{100 * supported / max(pairs, 1):.1f} %", "supported", "by labels or pixels, as the verifier reads them"),
        (count(len(tally.kinds)), "kinds of question", f"{tally.picture_bytes / 1e6:,.1f} MB of pictures"),
    ]
    closed = [(kind, counts) for kind in tally.kinds if (counts := tally.answers[kind]) and not _is_free(counts)]
    free = [kind for kind in tally.kinds if kind not in dict(closed)]
    return environment(HERE).get_template("page.html.j2").render(
        title=TITLE,
        form=form,
        style=Markup(style),
        tally=tally,
        ledger=ledger,
        chips=chips,
        headline=headline,
        marked=marked,
        kinds=_kinds(tally),
        answers=[_answers(kind, counts) for kind, counts in closed],
        free=listed(free) if free else "",
        words=[_words(name, tally.words[name]) for name in ("question", "answer")],
        sensors=[_sensor(tally, name) for name in tally.sensors],
        left_out=sorted(left_out.items()),
        checked=[("Verdicts", _bars(tally.verdicts)), ("Written by", _bars(tally.writers))],
    )  # fmt: skip


def _kinds(tally: Tally) -> list[dict[str, Any]]:
    most = max((tally.count(kind=kind) for kind in tally.kinds), default=1)
    rows = []
    for kind in tally.kinds:
        numbers = [(split, tally.count(kind=kind, split=split)) for split in tally.splits]
        parts = [(split, round(100 * number / most, 2), number) for split, number in numbers if number]
        rows.append({"name": kind, "parts": parts, "count": sum(number for _, number in numbers)})
    return rows


def _is_free(counts: Counter[str]) -> bool:
    """Whether the answers that are drawn are not even half of them."""
    return sum(number for _, number in counts.most_common(SHOWN_ANSWERS)) < counts.total() / 2


def _answers(kind: str, counts: Counter[str]) -> dict[str, Any]:
    total = counts.total()
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    parts = [(answer, round(100 * number / total, 2), number) for answer, number in ranked[:SHOWN_ANSWERS]]
    return {"name": kind, "parts": parts, "different": len(counts), "top": f"{100 * ranked[0][1] / total:.0f}"}


def _sensor(tally: Tally, name: str) -> dict[str, Any]:
    splits = [tally.chips[name, split] for split in tally.splits]
    pairs = tally.count(sensor=name)
    chips = sum(splits)
    return {"name": name, "splits": splits, "chips": chips, "pairs": pairs, "ratio": f"{pairs / max(chips, 1):.2f}"}


def _bars(counts: Counter[str]) -> list[tuple[str, float, int]]:
    most = max(counts.values(), default=1)
    return [(name, round(100 * number / most, 2), number) for name, number in counts.most_common()]


def _words(name: str, counts: Counter[int]) -> tuple[str, Markup, str]:
    total = counts.total()
    mean = sum(words * number for words, number in counts.items()) / max(total, 1)
    last = max(counts, default=1)
    plot = Plot(460, 190, (0, last + 1), (0, max(counts.values(), default=1) * 1.08),
                f"Words of {name}s: {mean:.1f} on average, {last} at most", left=46, top=20)  # fmt: skip
    plot.axes("words" if last < LONGEST else f"words, the last bar {LONGEST} and more", "pairs")
    wide = plot.x(1) - plot.x(0)
    for words in range(last + 1):
        if number := counts[words]:
            top = plot.y(number)
            plot.rect(plot.x(words) + wide * 0.08, top, wide * 0.84, plot.height - plot.bottom - top, "left end",
                      f"{words} words: {count(number)}")  # fmt: skip
    return f"{name}s", plot.render(), f"{mean:.1f}"
