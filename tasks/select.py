"""Stage `select`: EarthDial's triple filter (cloud, land coverage, sparse labels; paper, data section) and the ledger.

Besides the three: windows with too little data, places that lack a sensor, the same overpass in a second tile, dates
that are too near another one, and further dates of a window that has enough. No pixel is opened here: `scan` and
`labels` have measured. The ledger has one row for every candidate, so that its counts reconcile.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from tasks.core import paths, tables
from tasks.core.errors import EmptyStageError
from tasks.core.section import Section, load
from tasks.core.stage import Summary, main, require
from tasks.earth import scene_windows
from tasks.earth.grid import GridParams
from tasks.earth.places import ranked, there
from tasks.earth.sensors import SENSORS, Sensor

logger = logging.getLogger(__name__)
KEPT = "kept"
ASKED = [
    "chip_id", "window_id", "acquisition", "datetime", "epsg", "left", "bottom", "right", "top", "nodata_fraction",
    "cloud_fraction", "land_fraction",
]  # fmt: skip
"""Columns of windows that rules ask for."""
REPEATED = ["item_id", "collection", "acquisition", "sensor", "mask_provenance", "radiometry"]
ROWS = 65_536
"""Windows that are written together."""


@dataclass(frozen=True)
class Rule:
    """A condition to keep a window: `column` at most (or at least) `threshold`."""

    column: str
    threshold: float
    at_most: bool
    unknown: bool = False
    """What a null measurement is: unknown cloud is not clear sky, but a date without another one is not near it."""

    def passes(self) -> pl.Expr:
        """The condition."""
        column = pl.col(self.column)
        return (column <= self.threshold if self.at_most else column >= self.threshold).fill_null(self.unknown)


class SelectParams(Section):
    """`select:` in params.yaml. Fractions are of a window's valid pixels, 0 to 1."""

    max_nodata: float = Field(ge=0, le=1, description="share of the window without data")
    max_cloud: float = Field(ge=0, le=1, description="share under cloud; not asked of radar")
    min_land: float = Field(ge=0, le=1, description="share of land in the land mask")
    min_labels: int = Field(ge=0, description="distinct labels a window")
    max_dates: int = Field(ge=1, description="scenes kept of one window: the clearest, then the latest")
    min_days_apart: float = Field(
        0, ge=0, description="days between two scenes kept of one window: nearer ones show nearly the same pixels"
    )
    together: list[str] = Field(
        default_factory=list,
        description="sensors that must all have a clear window in a place, or the place is left out for every sensor; "
        "none for all places",
    )

    @field_validator("together")
    @classmethod
    def _are_sensors(cls, together: list[str]) -> list[str]:
        unknown = [name for name in together if name not in SENSORS]
        if unknown:
            raise ValueError(f"there is no sensor '{unknown[0]}'; allowed: {', '.join(SENSORS)}")
        return together

    def rules(self, sensor: Sensor) -> Mapping[str, Rule]:
        """Rules in the order they are charged: the first to fail is the reason."""
        rules = {
            "nodata": Rule("nodata_fraction", self.max_nodata, True),
            "cloud": Rule("cloud_fraction", self.max_cloud, True),
            "land": Rule("land_fraction", self.min_land, False),
            "labels": Rule("label_count", self.min_labels, False),
            "together": Rule("sensors_there", len(self.together), False),
            "overlap": Rule("tile_rank", 1, True),
            "near": Rule("near_days", self.min_days_apart, False, unknown=True),
            "duplicate": Rule("date_rank", self.max_dates, True),
        }
        left_out = {"cloud": sensor.mask is None, "together": not self.together, "near": not self.min_days_apart}
        return {name: rule for name, rule in rules.items() if not left_out.get(name)}

    def of_the_sky(self, sensor: Sensor) -> Mapping[str, Rule]:
        """Those that need no labels and no other window."""
        return {name: rule for name, rule in self.rules(sensor).items() if name in ("nodata", "cloud", "land")}


def judge(windows: pl.DataFrame, rules: Mapping[str, Rule]) -> pl.DataFrame:
    """Add `verdict` ("kept", or the first rule failed), `value` and `threshold` to every window."""
    verdict, value, threshold = pl.lit(KEPT), pl.lit(None, pl.Float64), pl.lit(None, pl.Float64)
    for name, rule in reversed(list(rules.items())):
        passes = rule.passes()
        verdict = pl.when(passes).then(verdict).otherwise(pl.lit(name))
        value = pl.when(passes).then(value).otherwise(pl.col(rule.column).cast(pl.Float64))
        threshold = pl.when(passes).then(threshold).otherwise(pl.lit(float(rule.threshold)))
    return windows.with_columns(verdict=verdict, value=value, threshold=threshold)


BETWEEN = ("overlap", "near", "duplicate")
"""Rules that hold windows against others of the same place."""


def label_counts(labels: pl.LazyFrame) -> pl.DataFrame:
    """`label_count` of each chip that has a label: how many different ones.

    Args:
        labels: rows of which those of a chip stand together, as stage `labels` leaves them. Counted as they come: a
            set of labels for each of a million chips would take a gigabyte.
    """
    counted, rest = [], pl.DataFrame(schema=labels.collect_schema())
    distinct = pl.col("label").n_unique().alias("label_count")
    for some in labels.collect_batches(chunk_size=ROWS, maintain_order=True):
        if some.is_empty():
            continue
        frame = pl.concat([rest, some])
        is_last = frame["chip_id"] == frame["chip_id"][-1]  # more of it may come
        counted.append(frame.filter(~is_last).group_by("chip_id").agg(distinct))
        rest = frame.filter(is_last)
    return pl.concat([*counted, rest.group_by("chip_id").agg(distinct)])


def measure(
    candidates: pl.DataFrame,
    labels: pl.LazyFrame,
    rules: Mapping[str, Rule],
    others: Mapping[str, pl.DataFrame],
) -> pl.DataFrame:
    """Add `label_count`, `sensors_there`, `tile_rank`, `near_days` and `date_rank`: 1 for the scene kept first.

    Only windows that pass every other rule take a rank: a cloudy date never pushes out a clear one. Dates are those of
    overpasses: the same one in two tiles is one date, and the tile with more data is taken.
    """
    windows = candidates.join(label_counts(labels), on="chip_id", how="left")
    windows = windows.with_columns(pl.col("label_count").fill_null(0))
    if others:
        windows = windows.with_columns(there(windows, others).alias("sensors_there"))
    alone = [rule.passes() for name, rule in rules.items() if name not in BETWEEN]
    tiles = (
        windows.filter(pl.all_horizontal(alone))
        .sort("window_id", "acquisition", "nodata_fraction", "cloud_fraction", "chip_id")
        .with_columns(tile_rank=pl.int_range(1, pl.len() + 1).over("window_id", "acquisition"))
    )
    dates = tiles.filter(pl.col("tile_rank") == 1).sort(
        ["window_id", "cloud_fraction", "datetime", "chip_id"], descending=[False, False, True, False]
    )
    apart = rules["near"].threshold if "near" in rules else 0.0
    ranks = ranked(dates, int(rules["duplicate"].threshold), apart)
    return windows.join(
        tiles.select("chip_id", "tile_rank").join(ranks, on="chip_id", how="left"), on="chip_id", how="left"
    )


def select(
    candidates: pl.DataFrame,
    labels: pl.LazyFrame,
    sensor: Sensor,
    params: SelectParams,
    others: Mapping[str, pl.DataFrame] | None = None,
) -> pl.DataFrame:
    """The ledger: every candidate with its verdict, ordered by chip id.

    Args:
        candidates: of the sensor.
        labels: of their windows.
        sensor: they are of.
        params: of the filters.
        others: candidates of each sensor of `select.together`.

    Raises:
        EmptyStageError: there is no candidate.
    """
    if candidates.is_empty():
        raise EmptyStageError(f"no window of {sensor.name} touches a scene; see the areas in params.yaml")
    rules = params.rules(sensor)
    clear = {
        name: windows.filter(pl.all_horizontal(rule.passes() for rule in params.of_the_sky(SENSORS[name]).values()))
        for name, windows in (others or {}).items()
    }
    return judge(measure(candidates, labels, rules, clear), rules).sort("chip_id")


def candidates_of(sensor: str, parts: Sequence[str]) -> pl.DataFrame:
    """What is asked of the windows that `scan` found of a sensor, in the order of its parts."""
    found = [tables.read(paths.scan(sensor, part) / "windows.parquet", ASKED) for part in parts]
    return pl.DataFrame(pl.from_arrow(pa.concat_tables(found)))


def write_ledger(ledger: pl.DataFrame, scanned: Sequence[Path], path: Path, selected: Path) -> None:
    """Write the windows with what was found of them, and those that are kept once more; some at a time.

    Args:
        ledger: `number` of each window in the order of the parts, what was measured of it and its verdict.
        scanned: folders of the parts.
        path: of the ledger.
        selected: of the windows that are kept, without their verdict.
    """
    # Names of scenes and the like recur in thousands of rows: each is held once.
    found = [tables.read(folder / "windows.parquet", dictionaries=REPEATED) for folder in scanned]
    windows = pa.concat_tables(found).unify_dictionaries()
    new = ledger.drop([name for name in windows.column_names if name in ledger.columns]).drop("number")
    schema = scene_windows.SCHEMA
    for field in new.to_arrow().schema:
        schema = schema.append(field)
    short = pa.schema([field for field in schema if field.name not in ("verdict", "value", "threshold")])
    with tables.table_writer(schema, path) as write, tables.table_writer(short, selected) as keep:
        for start in range(0, ledger.height, ROWS):
            rows = windows.take(ledger["number"].slice(start, ROWS).to_arrow())
            some = new.slice(start, ROWS).to_arrow()
            for name in some.column_names:
                rows = rows.append_column(name, some[name])
            write(rows)
            keep(rows.filter(pc.equal(some["verdict"], KEPT)).select(short.names))


def require_scenes(sensor: str, scanned: Sequence[Path]) -> None:
    """Refuse a sensor of which no part has a window, though scenes were found: a part alone may be empty.

    Raises:
        EmptyStageError: says why scenes cannot be used.
    """
    if any(pq.read_metadata(require(folder / "windows.parquet")).num_rows for folder in scanned):
        return
    lost = [row["detail"] for folder in scanned for row in tables.read(folder / "quarantine.parquet").to_pylist()]
    if lost:
        reasons = "; ".join(lost[:3])
        raise EmptyStageError(f"none of the {len(lost)} scenes of {sensor} can be used: {reasons}")


def run(sensor: str) -> Summary:
    """Filter the candidate windows of one sensor and write the ledger."""
    params, grid = load(SelectParams, "select"), load(GridParams, "grid")
    scanned = [paths.scan(sensor, part) for part in grid.parts]
    require_scenes(sensor, scanned)
    # Nothing else holds the candidates, nor what was measured of them, when the whole rows are read once more.
    ledger = select(
        candidates_of(sensor, grid.parts).with_row_index("number"),
        tables.scan([paths.labels(sensor, part) / "labels.parquet" for part in grid.parts], ["chip_id", "label"]),
        SENSORS[sensor],
        params,
        {name: candidates_of(name, grid.parts) for name in params.together},
    )
    write_ledger(ledger, scanned, paths.ledger(sensor), paths.selected(sensor))
    counts = dict(ledger["verdict"].value_counts().iter_rows())
    rules = params.rules(SENSORS[sensor])
    dropped = {name: counts.get(name, 0) for name in rules}
    if not counts.get(KEPT):
        paths.selected(sensor).unlink()  # the ledger stays, so that a failed run can still be explained
        worst = max(dropped, key=lambda name: dropped[name])
        raise EmptyStageError(
            f"0 of {ledger.height} windows of {sensor} kept, most lost to '{worst}' ({dropped[worst]}, "
            f"threshold {rules[worst].threshold}). Loosen it under `select:` in params.yaml, or see the reasons "
            f"in {paths.ledger(sensor)}."
        )
    return {"candidates": ledger.height, "kept": counts[KEPT], "dropped": dropped}


if __name__ == "__main__":
    main("select", run)
