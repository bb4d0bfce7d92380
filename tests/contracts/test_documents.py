"""What holds the pages for people to the tree: paths, commands, parameters and licences that they name are there."""

import re
from pathlib import Path

import pytest
import yaml

from earthloom import app
from tasks.check import Params
from tasks.core.reference import page

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "infra")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(page_ for folder in FOLDERS for page_ in sorted((ROOT / folder).rglob("*.md"))),
    ROOT / "benchmarks/README.md",
]
FILE = re.compile(r"(?<![\w./:<>*-])((?:\.\./)*[\w.-]+(?:/[\w.-]+)+\.(?:py|md|toml|yaml|csv|css|svg))\b")
FOLDER = re.compile(r"(?<![\w./-])((?:tasks|flows|models|tests|benchmarks|docs|infra|samples)/\w[\w/]+)(?![\w./*<-])")
MADE = ("data/", ".earthloom/")
"""Where runs write: what lies there is not part of the tree."""


def _name(page_: Path) -> str:
    return page_.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", PAGES, ids=_name)
def test_every_path_that_a_page_names_is_in_the_tree(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = {path for path in (*FILE.findall(text), *FOLDER.findall(text)) if not path.startswith(MADE)}
    gone = {path for path in named if not ((ROOT / path).exists() or (document.parent / path).exists())}
    assert gone == set(), f"{_name(document)} names what is not there"


@pytest.mark.parametrize("document", PAGES, ids=_name)
def test_every_link_between_the_pages_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (document.parent / link).exists()] == []


@pytest.mark.parametrize("document", PAGES, ids=_name)
def test_every_command_that_a_page_shows_is_one_of_earthloom(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = set(re.findall(r"(?m)(?:^|`|\| |-m )earthloom ([a-z]+)", text))
    assert shown <= set(app), f"{_name(document)}: {shown - set(app)}"


def test_the_page_of_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for folder in ("tasks", "models", "flows"):
        rooms = [path.parent.name for path in (ROOT / folder).glob("*/__init__.py")] if folder == "tasks" else []
        assert [room for room in (folder, *rooms) if f"{room}/" not in text] == []


def test_the_picture_of_the_architecture_names_rooms_that_are_there() -> None:
    text = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    named = set(re.findall(r"tasks/[a-z]+", text))
    assert len(named) > 5 and [room for room in sorted(named) if not (ROOT / room / "__init__.py").is_file()] == []


@pytest.mark.parametrize("picture", ["data-flow.svg", "architecture.svg"])
def test_the_pictures_name_every_stage(picture: str) -> None:
    texts = re.findall(r"<text.*?</text>", (ROOT / "docs" / picture).read_text(encoding="utf-8"))
    named = {word for text in texts for word in re.findall(r"[a-z]+", re.sub(r"<[^>]*>", " ", text))}
    assert set(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]) - named == set()


def test_the_reference_of_parameters_is_what_the_code_says() -> None:
    written = (ROOT / "docs/reference/parameters.md").read_text(encoding="utf-8")
    assert written == page(Params), "renew it: earthloom check --reference > docs/reference/parameters.md"


def test_every_locked_package_has_its_licence_in_the_list() -> None:
    locked = re.findall(r"(?m)^([\w.-]+)(?:\[[\w,-]+\])?==", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    rows = re.findall(r"(?m)^\| ([\w.-]+) \|", (ROOT / "docs/reference/licences.md").read_text(encoding="utf-8"))
    listed = {re.sub(r"[-_.]+", "-", name).lower() for name in rows}
    missing = [name for name in locked if re.sub(r"[-_.]+", "-", name).lower() not in listed]
    assert len(locked) > 200 and missing == [], "renew it: make licences"


def test_the_version_stands_in_one_place_and_the_citation_repeats_it() -> None:
    version = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert version is not None
    assert f"\nversion: {version[1]}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version[1]} - " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
