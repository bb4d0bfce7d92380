"""The data set card: README.md with the hub's front matter, the same facts as the statistics page and the ledger."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.exchange.exports.licences import Entry, Ledger
from tasks.exchange.exports.options import Options
from tasks.exchange.exports.tally import Tally
from tasks.pages.report_text import count

TITLE = "Earthloom instruction data"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
"""The hub's classes of sizes, by the number of rows below which they end."""


def card(
    form: str,
    layout: str,
    tally: Tally,
    ledger: Ledger,
    left_out: Mapping[str, int],
    marked: frozenset[str] | None,
    options: Options,
    configs: Mapping[str, Sequence[tuple[str, str]]],
) -> str:
    """The text of README.md.

    Args:
        form: the name of the layout.
        layout: how it is read, as Markdown.
        tally: what the export holds.
        ledger: of the sources.
        left_out: conversations that it does not hold, by reason.
        marked: kinds of question that are answered without the picture; None where that was not measured.
        options: what was asked for.
        configs: name -> (split, pattern of files) of each, for the hub's loader.
    """
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # Markdown, not HTML: nothing is escaped but the bars of tables
    made.filters.update(count=count, cell=lambda text: " ".join(str(text).split()).replace("|", "\\|"))
    rows = sum(tally.conversations.values())
    return made.get_template("card.md.j2").render(
        title=TITLE,
        form=form,
        layout=layout,
        tally=tally,
        ledger=ledger,
        chips=sum(tally.chips.values()),
        series=sum(tally.series.values()),
        conversations=rows,
        verdicts=tally.verdicts.most_common(),
        writers=sorted(tally.writers.items()),
        left_out=sorted(left_out.items()),
        marked=marked,
        pixels=options.pixels,
        captions=any("caption" in kind for kind in tally.kinds),
        size=next((name for end, name in SIZES if rows < end), "n>100M"),
        configs=configs,
        names=_names,
        licences=lambda entries: ", ".join(sorted({entry.licence for entry in entries})),
    )


def _names(entries: Sequence[Entry]) -> str:
    return " and ".join(entry.name for entry in entries)
