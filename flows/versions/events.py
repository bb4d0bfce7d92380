"""Events of versions: what automations wait for, and what the server's page shows."""

from prefect.events import emit_event

MODEL = "earthloom.model"
DATASET = "earthloom.dataset"


def announce(what: str, resource: str, *, tag: str, commit: str, repository: str, summary: str) -> None:
    """Emit the event `<resource>.<what>` of a version, with what an automation hands on to a deployment.

    Args:
        what: released, trained, promoted or held-back.
        resource: `MODEL` or `DATASET`.
        tag: of the version.
        commit: that it is on.
        repository: URL.
        summary: for people.
    """
    emit_event(
        f"{resource}.{what}",
        resource={
            "prefect.resource.id": resource,
            "prefect.resource.name": tag,
            "earthloom.tag": tag,
            "earthloom.commit": commit,
            "earthloom.repository": repository,
        },
        payload={"summary": summary},
    )
