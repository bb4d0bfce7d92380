"""The image of a model server is not built here; what can be held without building it is."""

import re
import subprocess
from pathlib import Path

import pytest

from tasks.generators import xcomposer

FOLDER = Path(__file__).parents[3] / "infra/model-server"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def check(*revisions: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(FOLDER / "check-revisions.sh"), *revisions]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_build_takes_two_commits_and_nothing_else() -> None:
    assert check(COMMIT, COMMIT[::-1]).returncode == 0
    for wrong in ("", "main", COMMIT[:-1], f"{COMMIT}0", COMMIT.upper(), f"{COMMIT}; id"):
        assert check(wrong, COMMIT).returncode == 1
        assert "CLIP_REVISION" in check(COMMIT, wrong).stderr


def test_the_image_holds_the_one_version_that_the_generator_asks_for() -> None:
    requirements = (FOLDER / "requirements.txt").read_text()
    assert f"lmdeploy=={xcomposer.RIGHT}\n" in requirements
    xcomposer.check_version(xcomposer.RIGHT)
    bounds = dict(re.findall(r"(?m)^(\w+)([<=]=?.+)$", (FOLDER / "constraints.txt").read_text()))
    assert bounds["torch"] == "<=2.6" and bounds["numpy"] == "<2" and bounds["peft"] == "<=0.14"
    assert bounds["transformers"].startswith("==")


def test_the_containerfile_checks_first_copies_what_is_there_and_has_no_default_revision() -> None:
    text = (FOLDER / "Containerfile").read_text()
    assert re.findall(r"(?m)^ARG (.+)$", text) == ["XCOMPOSER_REVISION", "CLIP_REVISION"]
    assert text.index("check-revisions.sh") < text.index("apt-get") < text.index("fetch.py")
    copied = {name for line in re.findall(r"(?m)^COPY (.+) \S+$", text) for name in line.split()}
    assert all((FOLDER / name).is_file() for name in copied) and len(copied) == 4


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("internlm/internlm-xcomposer2-vl-7b", True),
        ("internlm/internlm-xcomposer2-4khd-7b", True),
        ("/models/InternLM-XComposer2-7B-4bit", True),
        ("internlm/internlm-xcomposer2d5-7b", True),
        ("OpenGVLab/InternVL3_5-8B-HF", False),
    ],
)
def test_an_xcomposer2_is_known_by_its_name(name: str, found: bool) -> None:
    assert xcomposer.is_xcomposer2(name) == found
