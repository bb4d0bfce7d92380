"""A folder to a hub, through `huggingface_hub`: the endpoint and the token of the environment alone."""

import os
from pathlib import Path
from typing import Literal

from tasks.core.errors import ExchangeError
from tasks.exchange.exports.folder import check_own

ENDPOINT, TOKEN = "HF_ENDPOINT", "HF_TOKEN"
"""Variables of the environment, as Hugging Face's own tools call them. A token that some tool has stored on this
machine is not used: what is sent in whose name is said where the command stands."""


def push(folder: Path, repo: str, private: bool = False) -> str:
    """Send a finished export, as one commit to a repository that is made if it is not there.

    Args:
        folder: the export.
        repo: OWNER/NAME.
        private: whether a new repository is for its owner only.

    Returns:
        The address of the commit.

    Raises:
        ExchangeError: the folder is no finished export, there is no token, or the hub says no.
    """
    record = check_own(folder)
    return send(folder, repo, "dataset", f"Earthloom export as {record['format']}", private)


def send(
    folder: Path,
    repo: str,
    kind: Literal["dataset", "model"],
    message: str,
    private: bool = False,
    *,
    branch: str | None = None,
    tag: str | None = None,
    replace: bool = False,
) -> str:
    """Send a folder to a repository that is made if it is not there.

    Args:
        folder: whose files are sent.
        repo: OWNER/NAME.
        kind: of the repository.
        message: of the commit.
        private: whether a new repository is for its owner only.
        branch: to commit to, made if it is not there; the main one if None.
        tag: set on the commit once it is whole.
        replace: whether files of the repository that the folder has not are deleted in the same commit.

    Returns:
        The address of the commit.

    Raises:
        ExchangeError: there is no token, or the hub says no.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    what = {"dataset": "a data set", "model": "a model"}[kind]
    token = os.environ.get(TOKEN)
    if not token:
        raise ExchangeError(f"{TOKEN} is not set: a hub takes {what} only from whom it knows; set it to a token")
    api = HfApi(endpoint=os.environ.get(ENDPOINT), token=token)
    try:
        api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)
        if branch is not None:
            api.create_branch(repo, branch=branch, repo_type=kind, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo,
            folder_path=folder,
            repo_type=kind,
            commit_message=message,
            revision=branch,
            delete_patterns="*" if replace else None,
        )
        # Last, and on what was committed: over Xet a large folder goes in several commits, and only the last is whole.
        if tag is not None:
            api.create_tag(repo, tag=tag, revision=done.oid, repo_type=kind)
    except HFValidationError as error:
        raise ExchangeError(f"{repo!r} is no name of a repository (OWNER/NAME): {error}") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        hint = {
            401: f"; is {TOKEN} right?",
            403: f"; may the owner of {TOKEN} write to {repo}?",
            409: f"; is the tag {tag} there already?" if tag else "",
        }.get(status, "")
        raise ExchangeError(
            f"the hub refused {repo} ({status}{hint}). Nothing is published in part: send it again"
        ) from error
    except Exception as error:
        # Which HTTP library the client uses is its own affair, and has changed from one version to the next.
        if not (isinstance(error, OSError) or type(error).__module__.startswith("httpx")):
            raise
        raise ExchangeError(
            f"the hub does not answer ({type(error).__name__}); is {ENDPOINT} right? Send {folder} again"
        ) from error
    return str(done.commit_url)
