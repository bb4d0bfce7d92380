"""What the page was made from: code, parameters, data and models, each with its identity."""

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path

import tasks
from tasks.core import paths, tables
from tasks.core.section import PARAMS_FILE
from tasks.core.stage import require
from tasks.pages.parameter_counts import sizes
from tasks.pages.report_data import ReportData
from tasks.pages.report_text import count, listed


def versions(data: ReportData) -> list[tuple[str, str, str]]:
    """(what, its identity, what it is made of) of code, parameters, data and models."""
    project = tomllib.loads((Path(tasks.__file__).parents[1] / "pyproject.toml").read_text())["project"]
    sensors = [sensor.sensor.name for sensor in data.sensors]
    made = [f(name, part) for name in sensors for part in data.parts for f in (paths.chips, paths.qa)]
    generators = sorted({generator for sensor in data.sensors for generator in sensor.generators})
    rows = [
        ("Code", f"earthloom {project['version']}", project["license"]),
        ("Parameters", digest([PARAMS_FILE]), f"params.yaml; catalog \u2018{data.params['catalog']}\u2019"),
        (
            "Dataset",
            digest([*made, paths.split()]),
            f"chips, conversations ({listed(generators)}) and split of {listed(sensors)}",
        ),
    ]
    for stage in data.training:
        folder = stage.stage.folder
        weights = sorted(folder.glob("*.safetensors"))
        size = sum(sum(sizes(file).values()) for file in weights)
        kind = stage.config.get("model_type") or listed(stage.config.get("architectures") or ["model"])
        rows.append(
            (
                f"{stage.stage.model}, stage {stage.stage.address.partition('@')[2]}",
                digest([*weights, folder / "config.json"]),
                f"{kind}, {count(size)} parameters",
            )
        )
    return rows


def digest(files: Sequence[Path]) -> str:
    """SHA-256, first 16 digits, over the names and contents of files and folders.

    Of Parquet it is over the length and the footer, which holds the place and size of every column of every few rows:
    a dataset is not read once more for its name.
    """
    total = hashlib.sha256()
    for path in files:
        for file in sorted(path.rglob("*")) if require(path).is_dir() else [path]:
            if file.is_file():
                total.update(file.as_posix().encode() + _identity(file))
    return total.hexdigest()[:16]


def _identity(file: Path) -> bytes:
    if file.suffix == ".parquet":
        return hashlib.sha256(b"%d" % file.stat().st_size + tables.footer(file)).digest()
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
