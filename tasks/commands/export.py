"""`earthloom export FORMAT`: a built data set in the layouts of others; `earthloom export push` sends one to a hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import cyclopts

from tasks.core import log, paths

if TYPE_CHECKING:
    from tasks.exchange.exports.run import Exported

Format = Literal["huggingface", "llava", "sharegpt", "earthdial", "webdataset", "stac-geoparquet"]
app = cyclopts.App(name="export", help="Write the data set in the layouts of others.", result_action="return_none")


@app.default
def export(
    form: Annotated[Format, cyclopts.Parameter(name="FORMAT")],
    /,
    *,
    out: Path | None = None,
    data: Path = paths.DATA,
    pixels: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    tags: Annotated[bool, cyclopts.Parameter(negative=())] = False,
    sensor: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    split: Annotated[list[str] | None, cyclopts.Parameter(negative=())] = None,
    shard_mb: Annotated[int, cyclopts.Parameter(validator=cyclopts.validators.Number(gte=1))] = 256,
) -> None:
    """Write the built data set in a layout that others read, with a card, a ledger of licences and statistics.

    The folder is whole or not there: an export that was stopped is begun anew. The same data set gives the same bytes.

    Parameters
    ----------
    form
        The layout.
    out
        Folder to write, export/FORMAT if not given: one that is not there, is empty, or holds an earlier export of the
        same layout.
    data
        Folder of the built data set.
    pixels
        Write the calibrated pixels too, all bands as GeoTIFF, not only the rendering as PNG.
    tags
        Begin the first question with EarthDial's tags of sensor and task; the layout `earthdial` always does.
    sensor
        Write the chips of this sensor only; may be given several times.
    split
        Write this side of the split only: train, val or test; may be given several times.
    shard_mb
        Pictures and pixels in one shard, in MB, about.
    """
    from tasks.exchange.exports.options import Options
    from tasks.exchange.exports.run import export as write
    from tasks.exchange.exports.source import SPLITS

    place = out or Path("export") / form
    options = Options(pixels=pixels, tags=tags, shard_bytes=shard_mb * 1_000_000)
    show(write(form, data, place, options, sensor or (), split or SPLITS), place)


def show(done: "Exported", place: Path) -> None:
    """Print what the export holds."""
    from rich.table import Table

    table = Table(title=f"Exported to {place}")
    for heading in ("sensor", "split"):
        table.add_column(heading)
    for heading in ("chips or series", "conversations", "pairs"):
        table.add_column(heading, justify="right")
    for (sensor, split), chips in sorted(done.tally.chips.items()):
        numbers = (chips, done.tally.conversations[sensor, split], done.tally.count(sensor=sensor, split=split))
        table.add_row(sensor, split, *(f"{number:,}" for number in numbers))
    for (sensors, split), series in sorted(done.tally.series.items()):
        numbers = (series, done.tally.conversations[sensors, split], done.tally.count(sensor=sensors, split=split))
        table.add_row(f"series of {sensors}", split, *(f"{number:,}" for number in numbers))
    log.console.print(table)
    for reason, count in sorted(done.left_out.items()):
        log.console.print(f"{count:,} conversations left out ({reason}), a row each in left_out.parquet")
    for entry in done.ledger.share_alike:
        log.console.print(f"{entry.name} is under {entry.licence}, which binds what is made from it", soft_wrap=True)


@app.command
def push(folder: Path, repo: str, /, *, private: Annotated[bool, cyclopts.Parameter(negative=())] = False) -> None:
    """Send a finished export to a hub of data sets, as a repository of its own.

    The hub is that of HF_ENDPOINT, Hugging Face's if it is not set; the token is taken from HF_TOKEN and nowhere else.

    Parameters
    ----------
    folder
        That `earthloom export` wrote.
    repo
        OWNER/NAME of the data set.
    private
        Make the repository private, if it is new.
    """
    from tasks.exchange.exports.hub import push as send

    log.console.print(f"sent to {send(folder, repo, private)}", soft_wrap=True, highlight=False)
