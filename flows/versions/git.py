"""Git as a program: what a run asks of it, with errors for people and no question at a terminal."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tasks.core.errors import FlowError

COMMIT = re.compile(r"[0-9a-f]{40}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@#+-]*")
"""A branch, a tag or a commit; never an option, a range or an expression."""
TRANSPORTS = "file:git:http:https:ssh"
"""Git can run any program as a transport (`ext::sh -c ...`); these are enough."""
TIMEOUT = 600.0
"""Seconds for one command: a remote that hangs is an error."""
SHOWN = 4
"""Lines of what git says, from its beginning and from its end."""
FULL = 4_000_000
"""Bytes; with fewer free, what git says (`unable to write file`) is said to be of the disk."""


IDENTITY = {
    "GIT_AUTHOR_NAME": "Earthloom",
    "GIT_AUTHOR_EMAIL": "earthloom@localhost",
    "GIT_COMMITTER_NAME": "Earthloom",
    "GIT_COMMITTER_EMAIL": "earthloom@localhost",
}
"""Of the one who commits and tags, unless the worker's environment or git's own settings say otherwise."""


class GitError(FlowError):
    """A git command failed; `detail` is what it printed."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


def git(root: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """Run `git WORDS` in a folder; its output without the last line break.

    Raises:
        GitError: it failed, or did not end in time.
    """
    environment = os.environ | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": TRANSPORTS,
        "LC_ALL": "C",
        **(env or {}),
    }
    for inherited in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # set where a hook of git started us
        environment.pop(inherited, None)
    try:
        done = subprocess.run(
            ["git", *words], cwd=root, env=environment, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise GitError("git is not installed here; install it, for every run works in a clone") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {words[0]} did not end within {TIMEOUT:.0f} s; does the remote answer?") from error
    if done.returncode:
        detail = without_credentials(done.stderr.strip() or done.stdout.strip())
        free = shutil.disk_usage(root).free
        full = f" (no space left on device: {free / 1e6:.1f} MB are free under {root})" if free < FULL else ""
        said = _shortened(detail) or f"exit code {done.returncode}"
        raise GitError(f"git {words[0]} failed: {said}{full}", detail)
    return done.stdout.rstrip("\n")


def identity(root: Path) -> dict[str, str]:
    """Variables that say who commits and tags; what git knows already is left to it."""
    only = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
    try:
        git(root, "var", "GIT_COMMITTER_IDENT", env=only)
        return {}
    except GitError:
        return IDENTITY


def check_revision(revision: str) -> str:
    """`revision`, if it can be the name of a branch, a tag or a commit.

    Raises:
        FlowError: it is an option, an expression or has letters that no name has.
    """
    if not REVISION.fullmatch(revision) or ".." in revision or "@{" in revision:
        raise FlowError(f"revision {revision!r} is not the name of a branch, a tag or a commit")
    return revision


def check_repository(url: str) -> str:
    """`url`, if git may be given it.

    Raises:
        FlowError: it is an option, names a transport that runs programs, or carries a password.
    """
    parts = urlsplit(url)
    if not url or url.startswith("-") or "::" in url or any(ord(letter) < 32 for letter in url):
        raise FlowError(f"repository {url!r} is not the URL or the folder of a git repository")
    if parts.password or (parts.username and parts.scheme in ("http", "https")):
        raise FlowError(
            "repository has a user or password in its URL, which every log would show; leave it out, and give git "
            "the password by a credential helper or a key of ssh on the worker"
        )
    if parts.scheme and parts.scheme not in TRANSPORTS.split(":"):
        raise FlowError(
            f"repository {url!r}: git is not asked by {parts.scheme}, only by {TRANSPORTS.replace(':', ', ')}"
        )
    if ".." in Path(parts.path).parts:
        raise FlowError(f"repository {url!r} has '..' in its path; write the whole path")
    return url


def without_credentials(text: str) -> str:
    """`text` with the users and passwords of URLs left out."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def _shortened(text: str) -> str:
    """The first and the last lines: on a full disk git names every file of the repository."""
    lines = text.splitlines()
    if len(lines) <= 2 * SHOWN:
        return text
    return "\n".join([*lines[:SHOWN], f"({len(lines) - 2 * SHOWN} more lines)", *lines[-SHOWN:]])
