"""`earthloom catalog`: the embedded STAC API, to look at."""

import signal
from pathlib import Path

from tasks.core import log


def catalog() -> None:
    """Serve the embedded STAC API until Ctrl-C, to look at it with any STAC client."""
    from tasks.earth import sample_catalog

    with sample_catalog.serve(Path("samples")) as endpoints:
        log.console.print(f"STAC API: {endpoints.api}\nFiles:    {endpoints.files}\nCtrl-C stops both.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
