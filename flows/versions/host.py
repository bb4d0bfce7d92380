"""One machine's share of the runs: where workspaces, the DVC cache and the leases of its devices lie."""

import os
from dataclasses import dataclass
from pathlib import Path

HOME = "EARTHLOOM_HOME"
"""Variable with the folder of this host's runs; by default `earthloom` in the user's folder for data."""


@dataclass(frozen=True)
class Host:
    """The folder that all runs of a host share. Nothing in it belongs to a checkout that people edit."""

    home: Path

    @classmethod
    def here(cls) -> "Host":
        """The host that `EARTHLOOM_HOME` names, or the user's own."""
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        return cls(Path(os.environ.get(HOME) or Path(data) / "earthloom").absolute())

    @property
    def workspaces(self) -> Path:
        """A folder a run."""
        return self.home / "workspaces"

    @property
    def mirrors(self) -> Path:
        """A bare clone of each repository, so that a workspace is made without asking for its history again."""
        return self.home / "mirrors"

    @property
    def cache(self) -> Path:
        """The one DVC cache: workspaces hold links into it."""
        return self.home / "cache"

    @property
    def dvc_site(self) -> Path:
        """What DVC remembers of files and remotes beside the cache."""
        return self.home / "dvc-site"

    @property
    def answers(self) -> Path:
        """Answers of models that write questions, by what was asked: paid for once a host."""
        return self.home / "answers"

    @property
    def results(self) -> Path:
        """What was made of single scenes, by what it was made from: read once a host. `earthloom cache` prunes it."""
        return self.home / "results"

    @property
    def leases(self) -> Path:
        """A lock file a device."""
        return self.home / "leases"
