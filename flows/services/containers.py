"""The same services as containers: infra/compose.yaml, for a machine with Docker."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from flows.services.secrets import load
from tasks.core.errors import ServiceError

COMPOSE = Path("infra") / "compose.yaml"


def variables(services: Path, options: Mapping[str, object]) -> dict[str, str]:
    """What the file wants to know: the secrets of these services, and the options that were given.

    Raises:
        ServiceError: an option has no meaning for containers; edit the file then.
    """
    names = {"host": "EARTHLOOM_BIND", "url": "EARTHLOOM_URL", "repositories": "EARTHLOOM_REPOSITORIES"}
    given = {name: str(value) for name, value in options.items() if value is not None}
    if foreign := given.keys() - names.keys():
        words = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(foreign))
        raise ServiceError(f"{words}: for services that run as processes; with --containers it stands in {COMPOSE}")
    secrets = load(services)
    return {
        "PREFECT_SERVER_API_AUTH_STRING": secrets.api,
        "EARTHLOOM_DATABASE_PASSWORD": secrets.database,
        "AWS_ACCESS_KEY_ID": secrets.access_key,
        "AWS_SECRET_ACCESS_KEY": secrets.secret_key,
        **{names[name]: value for name, value in given.items()},
    }


def compose(checkout: Path, *words: str, environment: Mapping[str, str]) -> None:
    """Run `docker compose` on the project's file, with the file's variables in `environment`.

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
    if subprocess.run(command, env=os.environ | dict(environment), check=False).returncode:
        raise ServiceError(f"docker compose {' '.join(words)} failed; see above")
