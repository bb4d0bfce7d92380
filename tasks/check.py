"""The whole of params.yaml: the union of the stages' sections. `python -m tasks.check` checks all of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model, model_validator

from tasks.blind import BlindParams
from tasks.chips import ChipsParams
from tasks.core import paths, section
from tasks.core.errors import ParamsError
from tasks.core.section import Section
from tasks.core.stage import Summary, main, write_json
from tasks.earth.areas import AreasParams
from tasks.earth.blocks import check_window
from tasks.earth.catalog import CatalogParams
from tasks.earth.grid import GridParams, window_grid
from tasks.earth.label_params import LabelsParams
from tasks.earth.scene_windows import ScanParams
from tasks.earth.sensors import SENSORS
from tasks.earth.series_params import SeriesParams
from tasks.evaluation.evaluate_params import EvaluateParams
from tasks.evaluation.gate_params import PromoteParams
from tasks.guesses import GuessesParams
from tasks.mixture import MixtureParams
from tasks.qa import QAParams
from tasks.report import ReportParams
from tasks.routing import RoutingParams
from tasks.scenes import ScenesParams, SearchParams
from tasks.select import SelectParams
from tasks.split import SplitParams
from tasks.stats import StatsParams
from tasks.subtasks import SubtasksParams
from tasks.tokenizer import TokenizerParams
from tasks.training.finetune_params import FinetuneParams
from tasks.training.moe_params import MoeParams
from tasks.training.params import ModelParams, TrainParams


def _of_the_registry(name: str) -> str:
    if name not in SENSORS:
        raise ValueError(f"there is no such sensor; allowed: {', '.join(SENSORS)}")
    return name


SensorName = Annotated[str, AfterValidator(_of_the_registry)]


class _SensorsParams(Section):
    enabled: list[SensorName] = Field(min_length=1, description="sensors that are worked")


if TYPE_CHECKING:
    SensorsParams = _SensorsParams
else:
    SensorsParams = create_model(
        "SensorsParams",
        __base__=_SensorsParams,
        __doc__="`sensors:` in params.yaml: which are worked, and what is searched for each of the registry.",
        **{name.replace("-", "_"): (SearchParams | None, Field(None, alias=name)) for name in SENSORS},
    )


class Params(Section):
    """Every section; any other key is an error."""

    catalog: str = Field(description="preset under `catalogs` that scenes are taken from")
    catalogs: dict[str, CatalogParams]
    areas: AreasParams
    sensors: SensorsParams
    grid: GridParams
    scenes: ScenesParams
    scan: ScanParams
    labels: LabelsParams
    select: SelectParams
    chips: ChipsParams
    qa: QAParams
    split: SplitParams
    series: SeriesParams
    guesses: GuessesParams
    blind: BlindParams
    stats: StatsParams
    model: ModelParams
    tokenizer: TokenizerParams
    mixture: MixtureParams
    subtasks: SubtasksParams
    train: TrainParams
    finetune: FinetuneParams
    moe: MoeParams
    routing: RoutingParams
    evaluate: EvaluateParams
    promote: PromoteParams
    report: ReportParams

    @model_validator(mode="after")
    def _is_consistent(self) -> "Params":
        if self.catalog not in self.catalogs:
            raise ValueError(
                f"'catalog' is '{self.catalog}'; the presets under 'catalogs' are: {sorted(self.catalogs)}"
            )
        for name in self.sensors.enabled:
            sensor = SENSORS[name]
            if getattr(self.sensors, name.replace("-", "_")) is None:
                raise ValueError(f"'sensors.{name}' is missing: what is searched for it, as it is in sensors.enabled")
            check_window(
                window_grid(32601, self.grid.cell, sensor.window_cells), sensor.gsd, sensor.band_count, f"{name}: "
            )
        missing = [name for name in self.select.together if name not in self.sensors.enabled]
        if missing:
            raise ValueError(f"'select.together' names {missing[0]}, which is not in sensors.enabled: add it there")
        return self


MOST_INSTANCES = 300
"""Instances of one graph: with 203, DVC's own steps take seconds; with 2,000 one `dvc commit` was not through after two
minutes of CPU. docs/how-to/large.md says what to do instead."""
BY_PART, BY_SENSOR = ("scan", "labels", "chips", "qa"), ("scenes", "select", "stats")


def instances(params: Params) -> int:
    """Instances of stages that sensors and parts multiply."""
    sensors = len(params.sensors.enabled)
    return sensors * (len(BY_SENSOR) + len(BY_PART) * len(params.grid.parts))


def validate(path: Path = section.PARAMS_FILE) -> Params:
    """Check every parameter.

    Raises:
        ParamsError: names each wrong one by its path in the file, with what is allowed there.
    """
    params = section.parse(Params, section.read_params(path), path=path)
    if (count := instances(params)) > MOST_INSTANCES:
        raise ParamsError(
            f"{path}: 'grid.parts' names {len(params.grid.parts)} parts for {len(params.sensors.enabled)} sensors: "
            f"{count:,} instances of stages, and DVC keeps up with {MOST_INSTANCES}. Take fewer and larger parts: "
            "their scenes are worked side by side (EARTHLOOM_WORKERS, EARTHLOOM_DASK), or make one project a region "
            "(docs/how-to/large.md)"
        )
    return params


def run() -> Summary:
    """Check params.yaml and leave the note that every other stage waits for."""
    params = validate()
    write_json(paths.DATA / "check.json", {"valid": True})
    checked: dict[str, Any] = {"sections": len(type(params).model_fields)}
    return checked


if __name__ == "__main__":
    main("check", run)
