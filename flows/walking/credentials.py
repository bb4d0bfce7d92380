"""Credentials that a Prefect server keeps, for the commands of a walk: into their environment, and nowhere else."""

import os
from pathlib import Path

from prefect.blocks.system import Secret

from tasks.core.errors import FlowError
from tasks.core.section import read_params
from tasks.earth.sentinel_hub import CLIENT_ID, CLIENT_SECRET, SOURCE

BLOCK = "sentinel-hub"
"""A block of type Secret, its value `{"client_id": ..., "client_secret": ...}`."""


def credentials(params: Path) -> dict[str, str]:
    """Variables that the stages need and that the environment lacks, of the catalog that `params` chooses.

    Nothing where the catalog needs none, the environment has them, or no block holds them: the stage says then what it
    misses.

    Raises:
        FlowError: the block holds something else.
    """
    values = read_params(params) if params.is_file() else {}
    preset = values.get("catalogs", {}).get(values.get("catalog"), {})
    if preset.get("source") != SOURCE or (os.environ.get(CLIENT_ID) and os.environ.get(CLIENT_SECRET)):
        return {}
    try:
        block = Secret.load(BLOCK)
    except ValueError:  # there is none of that name
        return {}
    value = block.get()  # type: ignore[union-attr]
    if not (isinstance(value, dict) and value.get("client_id") and value.get("client_secret")):
        raise FlowError(
            f"Prefect's block secret/{BLOCK} does not hold what Sentinel Hub needs: "
            '{"client_id": ..., "client_secret": ...} as JSON'
        )
    return {CLIENT_ID: str(value["client_id"]), CLIENT_SECRET: str(value["client_secret"])}
