"""WHEN and WHERE: Prefect flows that walk DVC's graph. They hold no domain logic."""

import os
from contextlib import suppress
from pathlib import Path

# Prefect reads these once, when it is first imported; importing any module of this package comes before that.
if "PREFECT_HOME" not in os.environ:
    _home = Path(__file__).resolve().parent.parent / ".earthloom" / "prefect"
    with suppress(OSError):  # of a checkout that cannot be written to; Prefect says so once it is used
        _home.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(_home)
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")
