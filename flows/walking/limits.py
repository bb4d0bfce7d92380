"""The numbers of orchestration, once: how long is waited, how often is tried. None changes what a stage makes."""

from collections.abc import Mapping

COMMAND_GRACE = 20.0
"""Seconds that a command has between the request to stop (training writes a checkpoint) and the kill.

Below PREFECT_GRACE, so that the flow is still there to end what it started, which is below KUBERNETES_GRACE.
"""
PREFECT_GRACE = 30.0
"""Seconds that a worker of Prefect gives a cancelled flow; fixed in prefect.runner."""
KUBERNETES_GRACE = 60
"""Seconds that a pod gets, `terminationGracePeriodSeconds`; its own default of 30 would leave Prefect none."""

STAGE_TIMEOUT: Mapping[str, float] = {"check": 600, "code": 600, "train": 14 * 86400, "moe": 14 * 86400}
"""Seconds that a command of a stage may take; EARTHLOOM_TIMEOUT_<STAGE> of the environment comes before it."""
TIMEOUT = 2 * 86400.0
"""Of a stage that is not named in STAGE_TIMEOUT."""

TRIES = 4
"""Of a command that reads from a catalog, the first one counted: networks fail. Others are tried once."""
TRY_AGAIN_AFTER = 1.0
"""Seconds before the second try; twice that before the third, and so on."""
RESCHEDULES = 1000
"""Times that a command may ask to be run again (exit code 75): a preemption is no failure and uses up no try."""

CLIENT: Mapping[str, str] = {"PREFECT_CLIENT_RETRY_EXTRA_CODES": "500", "PREFECT_CLIENT_MAX_RETRIES": "7"}
"""Variables of workers and runs: a server whose database is away answers 500, and is asked again for four minutes."""
