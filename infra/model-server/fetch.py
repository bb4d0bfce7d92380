"""Fetch both repositories of InternLM-XComposer2 at their revisions: `fetch.py XCOMPOSER_REVISION CLIP_REVISION`."""

import sys
from pathlib import Path

from huggingface_hub import snapshot_download

TOWER = "openai/clip-vit-large-patch14-336"
REPOSITORIES = ("internlm/internlm-xcomposer2-vl-7b", TOWER)


def fetch(revisions: list[str]) -> None:
    """Fetch, and let the branch by whose name the vision tower is loaded mean the pinned revision."""
    for repository, revision in zip(REPOSITORIES, revisions, strict=True):
        folder = Path(snapshot_download(repository, revision=revision))
        if folder.name != revision:
            sys.exit(f"{repository}: asked for {revision}, got {folder.name}")
        if repository == TOWER:
            branch = folder.parents[1] / "refs/main"
            branch.parent.mkdir(parents=True, exist_ok=True)
            branch.write_text(revision)


if __name__ == "__main__":
    fetch(sys.argv[1:])
