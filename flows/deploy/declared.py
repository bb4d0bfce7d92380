"""prefect.yaml, read strictly: a misspelt key is an error, not a deployment that does something else."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.core.errors import ParamsError

OURS = "earthloom"
"""Tag of every deployment of the project, by which those that prefect.yaml no longer has are found again."""


class Part(BaseModel):
    """A mapping of prefect.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Schedule(Part):
    """When a deployment runs by itself."""

    cron: str
    timezone: str = "UTC"
    parameters: dict[str, Any] = {}


class Concurrency(Part):
    """Runs of a deployment at a time."""

    limit: int = Field(gt=0)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"] = "ENQUEUE"


class Pool(Part):
    """Where a deployment runs."""

    name: str
    job_variables: dict[str, Any] = {}


class Trigger(Part):
    """The event after which a deployment runs, and what it is given of it."""

    name: str
    type: Literal["event"]
    expect: list[str]
    match: dict[str, str] = {}
    parameters: dict[str, Any] = {}


class Deployment(Part):
    """One deployment: a flow, with its parameters, on a pool."""

    name: str
    description: str
    entrypoint: str = Field(pattern=r"^\w+(\.\w+)+$", description="of the installed project: flows.rebuild.rebuild")
    parameters: dict[str, Any] = {}
    schedules: list[Schedule] = []
    concurrency_limit: Concurrency | None = None
    tags: list[str] = []
    work_pool: Pool
    triggers: list[Trigger] = []


class Watch(Part):
    """What the server says or does when nothing comes."""

    heartbeat: int = Field(ge=30, description="seconds between the signs of life of a run")
    lost_after: timedelta = Field(description="without a sign of life after which a run counts as crashed")
    dataset_within: timedelta = Field(description="in which at least one version of the dataset is released")

    @model_validator(mode="after")
    def _patient(self) -> Self:
        if self.lost_after < timedelta(seconds=3 * self.heartbeat):
            raise ValueError(f"lost_after: {self.lost_after} is less than three heartbeats of {self.heartbeat} s")
        return self


class Declared(Part):
    """prefect.yaml. Prefect's own command line reads it too, and passes over `limits` and `watch`."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    definitions: dict[str, Any] = {}
    limits: dict[str, int] = {}
    watch: Watch
    deployments: list[Deployment] = Field(min_length=1)

    @property
    def pools(self) -> list[str]:
        """Names of the work pools."""
        return sorted({deployment.work_pool.name for deployment in self.deployments})


def read(path: Path) -> Declared:
    """What prefect.yaml says.

    Raises:
        ParamsError: there is none, or it is not valid; names what.
    """
    try:
        return Declared.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ParamsError(f"{path} is not there: run this in a checkout of the project") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: {error}") from error
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ParamsError("\n".join([f"{path} is not valid:", *lines])) from error


def limits(declared: Declared, catalogs: list[str]) -> dict[str, int]:
    """Task runs at a time by tag; `stac:*` stands for each of the catalogs of params.yaml."""
    found: dict[str, int] = {}
    for tag, limit in declared.limits.items():
        names = [tag.removesuffix("*") + name for name in sorted(catalogs)] if tag.endswith(":*") else [tag]
        found |= dict.fromkeys(names, limit)
    return found
