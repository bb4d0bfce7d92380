"""The same services as containers: infra/compose.yaml, for a machine with Docker."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tasks.core.errors import ServiceError

COMPOSE = Path("infra") / "compose.yaml"


def compose(checkout: Path, *words: str, variables: Mapping[str, str] | None = None) -> None:
    """Run `docker compose` on the project's file, with `variables` in its environment.

    Raises:
        ServiceError: there is no Docker, no daemon, or no such file; or compose failed.
    """
    path = checkout / COMPOSE
    if not path.is_file():
        raise ServiceError(f"{path} is not there: run this in a checkout of the project")
    program = shutil.which("docker")
    if not program:
        raise ServiceError("--containers: docker is not installed; without this option services run as processes")
    for asked, missing in ((["compose", "version"], "has no compose"), (["info"], "reaches no daemon")):
        done = subprocess.run([program, *asked], capture_output=True, text=True, check=False)
        if done.returncode:
            said = " ".join(done.stderr.strip().splitlines()[-1:])
            raise ServiceError(
                f"--containers: docker {missing} ({said}); without this option services run as processes"
            )
    command = [program, "compose", "--file", str(path), *words]
    if subprocess.run(command, env=os.environ | dict(variables or {}), check=False).returncode:
        raise ServiceError(f"docker compose {' '.join(words)} failed; see above")
