"""The subcommands of `earthloom` about released models: models, promote and rollback."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tasks.core import log
from tasks.core.errors import FlowError
from tasks.core.stage import read_json

if TYPE_CHECKING:
    from flows.versions.registry import Registry, Version


def models(*, repository: str | None = None) -> None:
    """List the released models, newest first: which is in service, since when, and their scores.

    The repository is asked, not this checkout. A score stands before the best of its controls.

    Parameters
    ----------
    repository
        URL of the git repository; that which this checkout was cloned from if not given.
    """
    mirror, known, _ = _registry(repository)
    if not known.versions:
        log.console.print(
            "No model has been released yet: `earthloom flow retrain` trains one, a deployment releases it."
        )
        return
    scores, missing = _scores(mirror, known.versions)
    rows = [_row(known, version, scores[version.name]) for version in known.versions]
    shown = list(dict.fromkeys(name for row in rows for name in row))
    if sys.stdout.isatty():
        table = Table(*shown)
        for row in rows:
            table.add_row(*(Text(row.get(name, "")) for name in shown), style="green" if row["in service"] else "")
        Console().print(table)
    else:
        print("\t".join(shown))
        for row in rows:
            print("\t".join(row.get(name, "") for name in shown))
    for reason in dict.fromkeys(missing):
        log.console.print(f"Scores that are not shown: {reason}", markup=False, soft_wrap=True)


def promote(version: str | None = None, *, dry_run: bool = False, repository: str | None = None) -> None:
    """Compare a released model with the one in service, and put it into service if it holds, as the flow does.

    Parameters
    ----------
    version
        Such as v0.0.3; the newest if not given.
    dry_run
        Only say what would be done.
    repository
        URL of the git repository; that which this checkout was cloned from if not given.
    """
    from flows.command_line import call
    from flows.promote import promote as flow
    from flows.versions.workspace import REPOSITORIES

    _, known, url = _registry(repository)
    tag = known.version(version).tag if version else None
    os.environ.setdefault(REPOSITORIES, url)  # who types this trusts what they cloned
    if code := call(flow, repository=url, revision=tag, dry_run=dry_run):
        sys.exit(code)


def rollback(*, to: str | None = None, why: str = "by hand", repository: str | None = None) -> None:
    """Put the version into service that was there before. Another roll back leads one further.

    Parameters
    ----------
    to
        Put this version into service instead, such as v0.0.3, whatever the gate says.
    why
        The reason, which the tag keeps.
    repository
        URL of the git repository; that which this checkout was cloned from if not given.
    """
    from flows.versions.registry import assign

    mirror, known, url = _registry(repository)
    target = known.version(to) if to else known.before
    if target is None:
        raise FlowError("no version was in service before this one; name one with --to (`earthloom models` lists them)")
    before = known.assigned[-1] if known.assigned else None  # a commit's hash where it is no version
    if target.name == before:
        log.console.print(f"{target.tag} is in service already.")
        return
    tag = assign(mirror, url, known, target, f"Rolled back to: {why}")
    _, now, _ = _registry(url)
    if now.in_service != target:
        raise FlowError(f"{tag} was pushed, but another run has moved the model since: see `earthloom models`")
    log.console.print(f"In service: {target.tag}{f', in place of {before}' if before else ''} ({tag}).", markup=False)


def _registry(repository: str | None) -> "tuple[Path, Registry, str]":
    """A mirror of the repository as it is now, what its tags say, and its URL."""
    from flows.versions.git import check_repository
    from flows.versions.host import Host
    from flows.versions.registry import read
    from flows.versions.workspace import update_mirror

    url = check_repository(repository) if repository else _origin()
    mirror = update_mirror(Host.here(), url)
    return mirror, read(mirror), url


def _origin() -> str:
    """Where this checkout was cloned from.

    Raises:
        FlowError: it was not cloned, or this is no checkout.
    """
    from flows.versions.git import GitError, check_repository, git

    try:
        root = Path(git(Path.cwd(), "rev-parse", "--show-toplevel"))
        url = git(root, "config", "remote.origin.url")
    except GitError as error:
        raise FlowError(
            "this is no clone of a repository with released models; name one with --repository URL"
        ) from error
    return check_repository(str((root / url).resolve()) if (root / url).exists() else url)


def _row(known: "Registry", version: "Version", scores: Mapping[str, str]) -> dict[str, str]:
    from flows.versions.registry import utc

    since = known.since(version.name)
    serves = known.assigned[-1:] == [version.name]
    return {
        "version": version.name,
        "in service": f"since {utc(since)}" if since and serves else "",
        "released": utc(version.at),
        "commit": version.commit[:10],
        **scores,
    }


def _scores(mirror: Path, versions: "Sequence[Version]") -> tuple[dict[str, dict[str, str]], list[str]]:
    """Scores by version and modality, from the DVC cache or remote of this checkout, and why some are not there."""
    from flows.versions.gate_set import SCORES, GateSet, LockedModel

    found: dict[str, dict[str, str]] = {version.name: {} for version in versions}
    missing = []
    if not Path(".dvc").is_dir():
        return found, ["this is no checkout, and only a checkout knows the DVC remote"]
    with tempfile.TemporaryDirectory() as scratch, closing(GateSet(Path.cwd(), Path(scratch))) as files:
        for version in versions:
            try:
                path = files.bring(LockedModel.read(mirror, version), SCORES, version.name)
            except FlowError as error:
                missing.append(str(error))
                continue
            values = read_json(path)
            groups = {"all": values.get("overall", {}), **values.get("by_modality", {})}
            found[version.name] = {name: _beside_controls(score) for name, score in groups.items()}
    return found, missing


def _beside_controls(score: Mapping[str, object]) -> str:
    """`0.575 / 0.527`: accuracy, and the best of its controls."""
    from tasks.evaluation.metrics.guesses import BESIDE

    controls = [value for name in BESIDE if isinstance(value := score.get(name), float)]
    best = f" / {max(controls):.3f}" if controls else ""
    return f"{score['accuracy']:.3f}{best}" if isinstance(score.get("accuracy"), float) else ""
