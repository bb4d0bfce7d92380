"""`earthloom catalog`: the embedded STAC API, to look at; and a look at any catalog before a run."""

import signal
import sys
from pathlib import Path

import cyclopts

from tasks.core import log

app = cyclopts.App(name="catalog", help="Look at a catalog: the embedded one by itself, any by `probe`.")


@app.default
def catalog() -> None:
    """Serve the embedded STAC API until Ctrl-C, to look at it with any STAC client."""
    from tasks.earth import sample_catalog

    with sample_catalog.serve(Path("samples")) as endpoints:
        log.console.print(f"STAC API: {endpoints.api}\nFiles:    {endpoints.files}\nCtrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


@app.command
def probe(name: str, *, sensor: str | None = None) -> None:
    """Show what a catalog has of each sensor, whether reading it takes credentials, and the head of one file.

    Looks into the preset's own `area`, or else into `areas`. Leaves with 1 if something that the preset names is not
    there or cannot be read.

    Parameters
    ----------
    name
        A preset under `catalogs` in params.yaml.
    sensor
        This sensor only.
    """
    from rich.table import Table

    from tasks.core.errors import ParamsError
    from tasks.core.section import load
    from tasks.earth.catalog import open_catalog
    from tasks.earth.probe import probe as look
    from tasks.earth.sensors import SENSORS
    from tasks.scenes import ScenesParams, SearchParams

    if sensor is not None and sensor not in SENSORS:
        raise ParamsError(f"--sensor {sensor}: there is no such sensor; there are: {', '.join(SENSORS)}")
    with open_catalog(search=True, max_wait=load(ScenesParams, "scenes").max_wait, name=name) as opened:
        findings = [
            finding
            for known in ([sensor] if sensor else SENSORS)
            for finding in look(opened, SENSORS[known], load(SearchParams, f"sensors.{known}").datetime)
        ]
    table = Table(title=f"{name}, {opened.params.url}")
    for heading in ("sensor", "collection", "items", "credentials", "file"):
        table.add_column(heading)
    for found in findings:
        table.add_row(found.sensor, found.collection, found.items, found.credentials, found.file)
    log.console.print(table)
    if not all(found.works for found in findings):
        sys.exit(1)
