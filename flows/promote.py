"""Flow `promote`: a released model beside the one in service; the better one serves.

A model that is held back is no failure of the flow: it ends Completed, and its state's name says what came of it. It
fails where nothing could be judged.
"""

import logging
from contextlib import closing
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from flows.runs import workspace_name
from flows.versions.events import MODEL as RESOURCE
from flows.versions.events import announce
from flows.versions.gate_set import MIXTURES, PREDICTIONS, SPLIT, GateSet, LockedModel, Logger
from flows.versions.gate_set import MODEL as WEIGHTS
from flows.versions.host import Host
from flows.versions.registry import MODEL, MovedError, Version, assign, read
from flows.versions.workspace import Workspace, allowed, update_mirror, workspace
from flows.walking import artifacts
from flows.walking.deployed import begin
from flows.walking.patient import patiently
from tasks.core.errors import EarthloomError, FlowError
from tasks.core.section import PARAMS_FILE, load
from tasks.evaluation.datasets.registry import HELD_OUT
from tasks.evaluation.gate import Verdict, judge
from tasks.evaluation.gate_params import PromoteParams
from tasks.evaluation.gate_places import seen_questions
from tasks.evaluation.metrics.predictions import read as read_predictions

ROUNDS = 3
"""Times that a candidate is judged anew since another was put into service meanwhile."""
TRIES = 5
"""To reach the DVC remote; the waits between them add up to five minutes."""
SCRATCH = Path(".earthloom") / "gate"
ASSIGNMENT = "assignment.parquet"
TASK = HELD_OUT.task


@flow(name="promote")
def promote(repository: str, revision: str | None = None, dry_run: bool = False) -> State[Any]:
    """Compare a released model with the one in service on the gate set, and put it there if it holds.

    Args:
        repository: URL of the git repository of its version.
        revision: Tag or commit of the version, or a branch that ends there; the newest version by default.
        dry_run: Only say what would be done.
    """
    if not dry_run:
        begin()
    try:
        allowed(repository)
        known = read(update_mirror(Host.here(), repository))
        if revision is None and not known.versions:
            known.version("")
        with workspace(Host.here(), repository, revision or known.versions[0].tag, workspace_name()) as space:
            for number in range(1, ROUNDS + 1):
                try:
                    return _promoted(space, dry_run)
                except MovedError as error:
                    if number == ROUNDS:
                        raise
                    _logger().warning("%s: judging against that one", error)
        raise AssertionError("the last round returns or raises")
    except EarthloomError as error:
        return Failed(message=str(error), data=error)


def _promoted(space: Workspace, dry_run: bool) -> State[Any]:
    """Judge the version at the workspace's commit, and put it into service if it holds."""
    mirror = update_mirror(Host.here(), space.repository)
    known = read(mirror)
    version = next((version for version in known.versions if version.commit == space.commit), None)
    if version is None:
        raise FlowError(
            f"commit {space.commit[:10]} is no version of {MODEL}: a model is released before it is promoted "
            f"(flow `retrain`, or `gto register {MODEL}`)"
        )
    serving = known.in_service
    if serving == version:
        return Completed(name="InService", message=f"{version.tag} is in service already")
    if known.was_taken_out(version.name):
        return Completed(
            name="HeldBack",
            message=f"{version.tag} has been in service and was taken out, so no run puts it back by itself; "
            f"`earthloom rollback --to {version.name}` does",
        )
    candidate = LockedModel.read(space.root, version)
    other = LockedModel.read(mirror, serving) if serving else None
    if other is not None and candidate.out(WEIGHTS) == other.out(WEIGHTS):
        return Completed(
            name="Unchanged",
            message=f"{version.tag} is byte for byte {serving.tag if serving else ''}, which is in service",
        )
    verdict = (_judged if dry_run else _judged_patiently)(space, candidate, other)
    title, page = _page(version, serving, verdict)
    for line in (title, *verdict.reasons):
        _logger().info("%s", line)
    if dry_run:
        return Completed(name="WouldPromote" if verdict.passed else "WouldHoldBack", message=title)
    create_markdown_artifact(page, key=artifacts.key("verdict"), description=title)
    if not verdict.passed:
        _announce("held-back", space, version, page)
        return Completed(name="HeldBack", message=title)
    tag = assign(mirror, space.repository, known, version, page)
    _announce("promoted", space, version, page)
    return Completed(name="Promoted", message=f"{title}; it is in service now, by {tag}")


def _judged_patiently(space: Workspace, candidate: LockedModel, in_service: LockedModel | None) -> Verdict:
    """Judge, again and again if the DVC remote cannot be reached just now: what was fetched and answered is kept."""
    name = f"judge {candidate.version.name}"
    return patiently(lambda: _judged(space, candidate, in_service), "judge", name, TRIES, lambda _verdict: "judged")


def _judged(space: Workspace, candidate: LockedModel, in_service: LockedModel | None) -> Verdict:
    params = load(PromoteParams, "promote", space.root / PARAMS_FILE)
    candidate.evaluated()
    with closing(GateSet(space.root, space.root / SCRATCH)) as files:
        new = read_predictions(files.bring(candidate, PREDICTIONS, "new"), TASK)
        if in_service is None:
            return judge(new, None, params)
        if candidate.asked_alike(in_service):
            _logger().info("%s has answered the same questions already", in_service.version.tag)
            path = files.bring(in_service, PREDICTIONS, "in-service")
        else:
            path = files.answers(candidate, in_service, _logger())
        seen = seen_questions(
            new,
            files.bring(candidate, f"{SPLIT}/{ASSIGNMENT}", "new"),
            [files.bring(in_service, f"{mixture}/train.parquet", "in-service") for mixture in MIXTURES],
            files.bring(in_service, f"{SPLIT}/{ASSIGNMENT}", "in-service"),
        )
        return judge(new, read_predictions(path, TASK), params, seen)


def _page(version: Version, serving: Version | None, verdict: Verdict) -> tuple[str, str]:
    """Headline, and the verdict as Markdown."""
    beside = f"beside {serving.tag}, which is in service" if serving else "with no model in service yet"
    title = f"{version.tag} {'passes the gate' if verdict.passed else 'is held back'}, {beside}"
    lines = [artifacts.markdown(title, {"Scores": verdict.rows()}).rstrip(), "", "## Reasons", ""]
    return title, "\n".join([*lines, *(f"- {reason}" for reason in verdict.reasons)]) + "\n"


def _announce(what: str, space: Workspace, version: Version, page: str) -> None:
    announce(what, RESOURCE, tag=version.tag, commit=version.commit, repository=space.repository, summary=page)


def _logger() -> Logger:
    """Of the flow run; a dry run from a command line has none."""
    running = FlowRunContext.get() or TaskRunContext.get()
    return get_run_logger() if running else logging.getLogger(__name__)
