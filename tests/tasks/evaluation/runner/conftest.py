from pathlib import Path

import pytest

from tests.tasks.evaluation.runner.runs import pictures_checkpoint


@pytest.fixture(scope="session")
def pictures_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that can be shown 8-bit pictures, and answers at different lengths."""
    return pictures_checkpoint(tmp_path_factory.mktemp("models") / "tiny")
