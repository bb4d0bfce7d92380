"""The Containerfiles: their paths are in the tree, their versions are those of the project, nobody in them is root."""

import re
from pathlib import Path

import pytest

from tests.infra import checks

IMAGE = checks.INFRA / "image/Containerfile"
SERVER = checks.INFRA / "model-server/Containerfile"
TEXT = IMAGE.read_text(encoding="utf-8")


def instructions(path: Path) -> list[tuple[str, str]]:
    """Name and arguments, continued lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", path.read_text(encoding="utf-8")))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


def copied(path: Path) -> list[str]:
    """What the builder asks the context for."""
    found = [words.split()[:-1] for name, words in instructions(path) if name == "COPY" and "--from" not in words]
    return [source for sources in found for source in sources]


@pytest.mark.parametrize(("path", "context"), [(IMAGE, checks.ROOT), (SERVER, SERVER.parent)], ids=["project", "model"])
def test_every_path_that_is_copied_is_in_the_tree(path: Path, context: Path) -> None:
    assert copied(path) and [source for source in copied(path) if not (context / source).exists()] == []


def test_the_builder_sees_what_is_copied_and_nothing_else() -> None:
    lines = IMAGE.with_name("Containerfile.dockerignore").read_text().splitlines()
    assert lines[1] == "*" and {line[1:] for line in lines if line.startswith("!")} == set(copied(IMAGE))


def test_every_room_of_the_project_is_in_the_image() -> None:
    packages = re.search(r'include = \["(.*)"\]', (checks.ROOT / "pyproject.toml").read_text())
    assert packages is not None
    rooms = {name.strip(' "*') for name in packages[1].split(",")}
    assert rooms | {"earthloom.py", "requirements.lock", "pyproject.toml"} <= set(copied(IMAGE))


def test_base_images_are_pinned_and_the_installer_is_that_of_the_makefile() -> None:
    bases = [words.split("=", 1)[1] for name, words in instructions(IMAGE) if name == "ARG" and "_IMAGE=" in words]
    bases += [words.split()[0] for name, words in instructions(SERVER) if name == "FROM"]
    assert len(bases) == 2 and all(checks.IMAGE.fullmatch(base) for base in bases)
    installer = re.search(r"uv==[\d.]+", (checks.ROOT / "Makefile").read_text())
    assert installer is not None and installer[0] in TEXT


def test_both_variants_install_the_locked_versions_and_end_as_an_ordinary_user() -> None:
    stages = TEXT.split("\nFROM ")
    for variant in ("cpu", "cuda"):
        built, final = (
            next(s for s in stages if s.splitlines()[0].endswith(end))
            for end in (f" AS build-{variant}", f" AS {variant}")
        )
        assert built.count("-c requirements.lock -r pyproject.toml --group workers") == 1
        assert f"--from=build-{variant} /opt /opt" in final
        assert final.strip().splitlines()[-1] == f"USER {checks.USER}:{checks.USER}"


def test_the_image_asks_for_no_secret_and_has_no_health_check() -> None:
    names = [words.split("=")[0] for name, words in instructions(IMAGE) if name in ("ARG", "ENV")]
    assert not any(checks.SECRET.search(name) for name in names)
    assert "HEALTHCHECK" not in {name for name, _ in instructions(IMAGE)}, "a job ends; who serves says how it is asked"


def test_everyone_mounts_the_home_of_runs_where_the_image_has_it() -> None:
    home = re.search(r"EARTHLOOM_HOME=(\S+)", TEXT)
    assert home is not None and f"VOLUME {home[1]}" in TEXT
    for path in ("compose.yaml", "pools/docker.json", "pools/kubernetes.json"):
        assert home[1] in (checks.INFRA / path).read_text(), path
