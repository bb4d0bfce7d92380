"""The registry of benchmarks: one row each, read from the tables beside this file and checked when it is loaded.

rows/datasets.toml tells of the data sets (owner, licence, where the files are to be had); the other tables in rows/
have one `[[benchmark]]` a row, each with the sources it can be imported from; published.csv has the published
scores, each with where the figure comes from. A figure or licence that no source gives is absent, and shown as unknown.
"""

import csv
import difflib
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets import own_rows
from tasks.evaluation.datasets.samples import AnswerType
from tasks.evaluation.names import Task

HERE = Path(__file__).parent
Modality = Literal["rgb", "rgb-nir", "multispectral", "sar", "thermal", "hyperspectral", "rgb-temporal", "sar-temporal"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dataset(_Row):
    """Whose pictures and truths they are."""

    title: str
    licence: str | None = Field(default=None, description="as its owner states it; None where that is not known")
    homepage: str
    paper: str | None = None
    obtain: str = Field(description="what a person has to do to get the files")


class BenchmarkSource(_Row):
    """One published form of a benchmark's files, and the adapter that reads it."""

    name: str = Field(description="earthdial: the evaluation shards of EarthDial; owner: the data set's own files")
    adapter: str
    layout: str = Field(description="the files as published, for people")
    needs: tuple[str, ...] = Field(min_length=1, description="glob patterns, each of which must match something")
    comparable: bool = Field(description="whether questions and truths are those the published scores were taken on")
    confirmed: bool = Field(description="whether code that reads the true files was seen to agree with the adapter")
    evidence: str = Field(description="where the knowledge of the format comes from")
    prompt: str | None = Field(default=None, description="in place of the benchmark's, where this form needs another")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the adapter")


class Benchmark(_Row):
    """One row of the registry."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    title: str
    dataset: str
    task: Task
    modality: Modality
    split: str
    samples: int | None = Field(default=None, description="questions in the published split; None where not known")
    samples_from: str | None = Field(default=None, description="where that number comes from")
    sensor: str = Field(description="EarthDial's tag of the images")
    bands: tuple[str, ...] = Field(default=(), description="names in the order they are shown; empty for pictures")
    scale: float = Field(default=1.0, description="a stored number times this is in the unit of the measured sensor")
    answer_type: AnswerType
    classes: tuple[str, ...] = Field(default=(), description="as the published prompt names them")
    prompt: str = Field(description="as published; {question}, {classes}, {box} and {object} stand for what varies")
    prompt_from: str
    sources: tuple[BenchmarkSource, ...] = Field(min_length=1)
    notes: str = ""

    def source(self, name: str) -> BenchmarkSource:
        """The source called `name`.

        Raises:
            BenchmarkError: there is none.
        """
        for source in self.sources:
            if source.name == name:
                return source
        names = ", ".join(source.name for source in self.sources)
        raise BenchmarkError(f"{self.name} has no source {name!r}; it has {names}")


class HeldOutSplit(_Row):
    """The questions that the demo holds out: made by this project's own stages, and never imported."""

    name: str = "demo"
    title: str = "Earthloom demo, held-out questions"
    task: Task = "vqa"
    modality: str = "all sensors of the demo"
    split: str = "test"


HELD_OUT = HeldOutSplit()


class Figure(_Row):
    """One published score."""

    benchmark: str
    model: str
    metric: str
    value: float
    n: int | None = None
    kind: Literal["paper", "rerun", "independent"]
    source: str
    note: str = ""


@cache
def datasets() -> dict[str, Dataset]:
    """All data sets, by name; those of one's own benchmarks of which nothing is given have their folder alone."""
    table = tomllib.loads((HERE / "rows/datasets.toml").read_text(encoding="utf-8"))
    known = {name: _checked(Dataset, row, f"rows/datasets.toml, {name}") for name, row in table.items()}
    for folder in own_rows.folders():
        for path in own_rows.tables(folder):
            content = own_rows.table(path)
            for name, row in content.get("dataset", {}).items():
                if name in known:
                    raise BenchmarkError(f"{path}, dataset.{name}: there is a data set of that name; call it otherwise")
                known[name] = _checked(Dataset, row, f"{path}, dataset.{name}")
            for entry in content["benchmark"]:
                name = str(entry.get("dataset", entry.get("name")))
                obtain = f"its files lie in {folder}"
                known.setdefault(name, Dataset(title=name, homepage="not given", obtain=obtain))
    return known


@cache
def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks, by name, in the order of the tables.

    Raises:
        BenchmarkError: a row has an unknown or missing field, a name stands twice, or its data set is not known.
    """
    rows: dict[str, Benchmark] = {}
    for path in sorted((HERE / "rows").glob("*.toml")):
        if path.name != "datasets.toml":
            table = tomllib.loads(path.read_text(encoding="utf-8"))
            for entry in table["benchmark"]:
                _add(rows, entry, table.get("shared", {}), f"rows/{path.name}")
    for folder in own_rows.folders():
        for path in own_rows.tables(folder):
            _add_own(rows, path)
    return rows


def own_folder(name: str) -> Path | None:
    """The folder outside the package that a benchmark's row lies in; None if it is built in."""
    return next((folder for folder, names in _own_names().items() if name in names), None)


def include(folder: Path) -> None:
    """Add a folder of own benchmarks to the registry."""
    own_rows.include(folder)
    for known in (datasets, benchmarks, _own_names):
        known.cache_clear()


@cache
def _own_names() -> dict[Path, list[str]]:
    return {
        folder: [
            str(entry.get("name")) for path in own_rows.tables(folder) for entry in own_rows.table(path)["benchmark"]
        ]
        for folder in own_rows.folders()
    }


def _add_own(rows: dict[str, Benchmark], path: Path) -> None:
    table = own_rows.table(path)
    for number, entry in enumerate(table["benchmark"], start=1):
        where = f"{path}, [[benchmark]] {number}, {entry.get('name')}"
        entry = {"dataset": entry.get("name"), "title": entry.get("name"), **own_rows.DEFAULTS, **entry}
        if not own_rows.SLUG.fullmatch(str(entry["dataset"])):
            raise BenchmarkError(f"{where}, dataset: {entry['dataset']!r} is not small letters, digits and hyphens")
        sources = [dict(one) if "like" in one else own_rows.SOURCE | one for one in entry.get("sources", [{}])]
        for one in sources:
            own_rows.refuse_leading_out(_source(one, table.get("shared", {})), f"{where}, [[benchmark.sources]]")
        _add(rows, entry | {"sources": sources}, table.get("shared", {}), str(path))


def _add(rows: dict[str, Benchmark], entry: dict[str, Any], shared: dict[str, Any], table: str) -> None:
    where = f"{table}, {entry.get('name')}"
    row = _checked(Benchmark, entry | {"sources": [_source(one, shared) for one in entry["sources"]]}, where)
    if row.name in rows:
        raise BenchmarkError(f"{where}: the name stands twice")
    if row.dataset not in datasets():
        raise BenchmarkError(f"{where}: no data set {row.dataset!r} in rows/datasets.toml")
    rows[row.name] = row


def _source(entry: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """A source written out: `like` names one of the table's shared sources, `folder` where its shards may lie."""
    if entry.get("like", "") not in ("", *shared):
        raise BenchmarkError(f"like: there is no [shared.{entry['like']}]; there are {', '.join(shared) or 'none'}")
    entry = shared[entry["like"]] | entry if "like" in entry else dict(entry)
    entry.pop("like", None)
    if folder := entry.pop("folder", None):
        files = ("state.json", "dataset_dict.json", "*-of-*.arrow", "*-of-*.parquet", "data/*-of-*.parquet")
        entry["needs"] = [" | ".join(f"**/{folder}/{file}" for file in files)]
        entry["options"] = {"folder": f"**/{folder}", **entry.get("options", {})}
    return entry


@cache
def figures() -> tuple[Figure, ...]:
    """All published scores, in the order of published.csv."""
    with (HERE / "published.csv").open(encoding="utf-8", newline="") as file:
        rows = [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]
    return tuple(_checked(Figure, row, f"published.csv, line {line}") for line, row in enumerate(rows, start=2))


def published(name: str) -> tuple[Figure, ...]:
    """The published scores of one benchmark; empty where none is known."""
    return tuple(figure for figure in figures() if figure.benchmark == name)


def get(name: str) -> Benchmark:
    """The benchmark called `name`.

    Raises:
        BenchmarkError: there is none; names the nearest.
    """
    rows = benchmarks()
    if name in rows:
        return rows[name]
    near = difflib.get_close_matches(name, rows, n=3) or [row for row in rows if rows[row].dataset == name][:3]
    hint = f"did you mean {', '.join(near)}?" if near else "`earthloom bench list` shows all"
    raise BenchmarkError(f"there is no benchmark {name!r}; {hint}")


def known(name: str) -> Benchmark | HeldOutSplit:
    """What may be asked of a model: a benchmark, or the demo's held-out split.

    Raises:
        BenchmarkError: there is none of that name; names the nearest.
    """
    return HELD_OUT if name == HELD_OUT.name else get(name)


def _checked(model: type[Any], row: dict[str, Any], where: str) -> Any:
    try:
        return model(**row)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BenchmarkError(f"{where}: {problems}") from error
