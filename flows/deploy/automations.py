"""What the server does by itself: runs a deployment after an event, and notices what does not come."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState, DoNothing, RunDeployment, SendNotification
from prefect.events.schemas.automations import Automation, AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from flows.deploy.change import Change, differing
from flows.deploy.declared import OURS, Deployment, Watch
from flows.versions.events import DATASET
from tasks.core.errors import ServiceError

PREFIX = f"{OURS}: "
"""Of the names of the project's automations; others are left alone."""
RELEASED = f"{DATASET}.released"
HEARTBEAT = "prefect.flow-run.heartbeat"
RUN = ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"})


def after_events(deployments: Mapping[str, Deployment], identifiers: Mapping[str, UUID]) -> list[AutomationCore]:
    """An automation for each trigger of a deployment."""
    return [
        AutomationCore(
            name=f"{PREFIX}{trigger.name}",
            description=f"Runs {name} after {', '.join(trigger.expect)}.",
            trigger=EventTrigger(
                expect=set(trigger.expect),
                match=ResourceSpecification({**trigger.match}),
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                RunDeployment(
                    source="selected",
                    deployment_id=identifiers[name],
                    parameters=_templates(trigger.parameters),
                    job_variables=None,
                )
            ],
        )
        for name, deployment in deployments.items()
        for trigger in deployment.triggers
    ]


def watches(watch: Watch, notify: UUID | None) -> list[AutomationCore]:
    """What is noticed when it does not come, or comes as a failure.

    Args:
        watch: how long is waited.
        notify: the block that messages are sent by; without it the server's page of events is where it is seen.
    """
    days = f"{watch.dataset_within / timedelta(days=1):g} days"
    found = [
        AutomationCore(
            name=f"{PREFIX}a run without a sign of life has crashed",
            description="Its machine or its process is gone; the next run of its deployment then goes on.",
            trigger=EventTrigger(
                # Any word of it will do: a flow names its last state as it likes. Who is asked to end owes an end.
                after={HEARTBEAT, "prefect.flow-run.Running", "prefect.flow-run.Cancelling"},
                expect={"prefect.flow-run.*"},
                match=RUN,
                for_each={"prefect.resource.id"},
                posture=Posture.Proactive,
                threshold=1,
                within=watch.lost_after,
            ),
            actions=[
                ChangeFlowRunState(
                    name=None,
                    state=StateType.CRASHED,
                    message=f"No sign of life for {watch.lost_after}: its machine or process is gone.",
                    force=False,
                )
            ],
        ),
        AutomationCore(
            name=f"{PREFIX}no dataset released for {days}",
            description="Seen as an event prefect.automation.triggered, and as a message if a block is named.",
            trigger=EventTrigger(
                expect={RELEASED}, posture=Posture.Proactive, threshold=1, within=watch.dataset_within
            ),
            actions=[_message(notify, f"No version of the dataset was released for {days}", "")],
        ),
    ]
    if notify:
        found.append(
            AutomationCore(
                name=f"{PREFIX}a run failed",
                description="A message for each run that failed or crashed.",
                trigger=EventTrigger(
                    expect={"prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut"},
                    match=RUN,
                    for_each={"prefect.resource.id"},
                    posture=Posture.Reactive,
                    threshold=1,
                ),
                actions=[
                    _message(notify, "{{ flow.name }}: {{ flow_run.state.name }}", "{{ flow_run.state.message }}\n")
                ],
            )
        )
    return found


def ensure(client: SyncPrefectClient, wanted: Sequence[AutomationCore]) -> list[Change]:
    """Make the automations, or bring them up to date; one that was switched off by hand stays off."""
    there = mine(client)
    changes = []
    for automation in wanted:
        found = there.get(automation.name)
        if found is None:
            client.create_automation(automation)
            changes.append(Change("automation", automation.name, "created"))
            continue
        detail = differing(_comparable(automation), _comparable(found))
        if detail:
            client.update_automation(found.id, automation.model_copy(update={"enabled": found.enabled}))
        off = "" if found.enabled else "switched off by hand"
        changes.append(
            Change(
                "automation",
                automation.name,
                "updated" if detail else "unchanged",
                ", ".join(filter(None, [detail, off])),
            )
        )
    return changes


def mine(client: SyncPrefectClient) -> dict[str, Automation]:
    """The project's automations on the server, by name."""
    return {there.name: there for there in client.read_automations(limit=200) if there.name.startswith(PREFIX)}


def block(client: SyncPrefectClient, name: str) -> UUID:
    """The identifier of a block, named as Prefect names it: `slack-webhook/ops`.

    Raises:
        ServiceError: the server has none of that name.
    """
    kind, _, document = name.partition("/")
    try:
        return client.read_block_document_by_name(document, kind, include_secrets=False).id
    except ObjectNotFound as error:
        raise ServiceError(
            f"--notify {name}: the server has no such block. Name one as TYPE/NAME, such as slack-webhook/ops; "
            "`prefect block ls` lists them, the server's page makes them."
        ) from error


def _message(notify: UUID | None, subject: str, body: str) -> ActionTypes:
    return SendNotification(block_document_id=notify, subject=subject, body=body or subject) if notify else DoNothing()


def _templates(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Text with `{{ }}` in it as what Prefect fills in from the event; other values as they are."""
    return {
        name: {"__prefect_kind": "jinja", "template": value} if isinstance(value, str) and "{{" in value else value
        for name, value in parameters.items()
    }


def _comparable(automation: AutomationCore) -> dict[str, Any]:
    """What of an automation is ours to say, without the identifiers that the server gives."""
    dumped = automation.model_dump(mode="json", include={"description", "trigger", "actions"})
    return {name: _plain(value) for name, value in dumped.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if key != "id"}
    if isinstance(value, list):
        inner = [_plain(one) for one in value]
        return sorted(inner) if all(isinstance(one, str) for one in inner) else inner
    return value
