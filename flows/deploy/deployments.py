"""The deployments: flows of the worker's installed project, given the repository whose commits they work on."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectNotFound, ScriptError
from prefect.utilities.callables import parameter_schema
from prefect.utilities.importtools import import_object

from flows.deploy.change import Change, differing
from flows.deploy.declared import OURS, Declared, Deployment, Watch
from flows.walking.limits import CLIENT
from tasks.core.errors import ParamsError

HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
"""Variable of a run's environment with the seconds between its signs of life."""


def ensure(client: SyncPrefectClient, declared: Declared, repository: str) -> tuple[list[Change], dict[str, UUID]]:
    """Make the deployments, or bring them up to date.

    Args:
        client: of the server.
        declared: prefect.yaml.
        repository: git URL, a parameter of every one.

    Returns:
        What became of each, and its identifier by `flow/name`.

    Raises:
        ParamsError: an entrypoint is no flow, or a flow has no parameter of a name that it is to be given.
    """
    loaded = [(deployment, load(deployment)) for deployment in declared.deployments]  # all, before anything is changed
    changes, found = [], {}
    for deployment, flow in loaded:
        name = f"{flow.name}/{deployment.name}"
        change, found[name] = _ensure(
            client, deployment, flow, name, _wanted(deployment, flow, repository, declared.watch)
        )
        changes.append(change)
    return changes, found


def load(deployment: Deployment) -> Flow[..., Any]:
    """The flow of a deployment, from the installed project.

    Raises:
        ParamsError: there is none there, or it lacks a parameter that the deployment gives.
    """
    try:
        flow = import_object(deployment.entrypoint)
    except (ImportError, AttributeError, ScriptError) as error:
        raise ParamsError(f"prefect.yaml, {deployment.name}: no flow at {deployment.entrypoint} ({error})") from error
    if not isinstance(flow, Flow):
        raise ParamsError(f"prefect.yaml, {deployment.name}: {deployment.entrypoint} is no flow")
    given = {*deployment.parameters, *(name for one in deployment.triggers for name in one.parameters), "repository"}
    given |= {name for schedule in deployment.schedules for name in schedule.parameters}
    unknown = given - parameter_schema(flow.fn).properties.keys()
    if unknown:
        raise ParamsError(
            f"prefect.yaml, {deployment.name}: the flow {flow.name} has no parameter {', '.join(sorted(unknown))}"
        )
    return flow


def undeclared(client: SyncPrefectClient, names: Sequence[str]) -> dict[str, UUID]:
    """The project's deployments on the server that are none of `names`, by `flow/name`."""
    mine = client.read_deployments(deployment_filter=DeploymentFilter(tags=DeploymentFilterTags(all_=[OURS])))
    found = {f"{client.read_flow(there.flow_id).name}/{there.name}": there.id for there in mine}
    return {name: identifier for name, identifier in found.items() if name not in names}


def _ensure(
    client: SyncPrefectClient, deployment: Deployment, flow: Flow[..., Any], name: str, wanted: dict[str, Any]
) -> tuple[Change, UUID]:
    try:
        there: DeploymentResponse | None = client.read_deployment_by_name(name)
    except ObjectNotFound:
        there = None
    detail = differing(wanted, _there(there)) if there else ""
    paused = ", paused by hand" if there and (there.paused or not all(s.active for s in there.schedules)) else ""
    if there and not detail:
        return Change("deployment", name, "unchanged", paused.lstrip(", ")), there.id
    # A schedule that somebody has switched off stays off.
    active = {_schedule(s.schedule, s.parameters): s.active for s in there.schedules} if there else {}
    schedules = [
        DeploymentScheduleCreate(
            schedule=(schedule := CronSchedule(cron=s.cron, timezone=s.timezone)),
            parameters=s.parameters,
            active=active.get(_schedule(schedule, s.parameters), True),
        )
        for s in deployment.schedules
    ]
    alone = deployment.concurrency_limit
    identifier = client.create_deployment(
        flow_id=client.create_flow(flow),
        name=deployment.name,
        description=deployment.description,
        entrypoint=deployment.entrypoint,
        parameters=wanted["parameters"],
        parameter_openapi_schema=wanted["parameter_schema"],
        enforce_parameter_schema=True,
        tags=wanted["tags"],
        work_pool_name=deployment.work_pool.name,
        job_variables=wanted["job_variables"],
        schedules=schedules,
        concurrency_limit=alone.limit if alone else None,
        concurrency_options=ConcurrencyOptions(collision_strategy=ConcurrencyLimitStrategy(alone.collision_strategy))
        if alone
        else None,
    )
    return Change("deployment", name, "updated" if there else "created", detail + paused), identifier


def _wanted(deployment: Deployment, flow: Flow[..., Any], repository: str, watch: Watch) -> dict[str, Any]:
    alone, variables = deployment.concurrency_limit, deployment.work_pool.job_variables
    return {
        "description": deployment.description,
        "entrypoint": deployment.entrypoint,
        "parameters": {**deployment.parameters, "repository": repository},
        "parameter_schema": parameter_schema(flow.fn).model_dump_for_openapi(),
        "tags": sorted({*deployment.tags, OURS}),
        "pool": deployment.work_pool.name,
        "job_variables": {**variables, "env": {**CLIENT, HEARTBEAT: str(watch.heartbeat), **variables.get("env", {})}},
        "schedules": sorted(
            _schedule(CronSchedule(cron=s.cron, timezone=s.timezone), s.parameters) for s in deployment.schedules
        ),
        "concurrency_limit": (alone.limit, alone.collision_strategy) if alone else None,
        "pull_steps": None,
    }


def _there(there: DeploymentResponse) -> dict[str, Any]:
    limit, options = there.global_concurrency_limit, there.concurrency_options
    return {
        "description": there.description,
        "entrypoint": there.entrypoint,
        "parameters": there.parameters,
        "parameter_schema": there.parameter_openapi_schema,
        "tags": sorted(there.tags),
        "pool": there.work_pool_name,
        "job_variables": there.job_variables,
        "schedules": sorted(_schedule(s.schedule, s.parameters) for s in there.schedules),
        "concurrency_limit": (limit.limit, options.collision_strategy.value) if limit and options else None,
        "pull_steps": there.pull_steps or None,
    }


def _schedule(schedule: Any, parameters: dict[str, Any]) -> str:
    """A schedule as text, to compare it."""
    return f"{getattr(schedule, 'cron', schedule)} {getattr(schedule, 'timezone', '')} {sorted(parameters.items())}"
