"""The triple filter and its ledger."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import EmptyStageError
from tasks.earth.sensors import SENSORS
from tasks.select import SelectParams, label_counts, select

PARAMS = SelectParams(max_nodata=0.05, max_cloud=0.1, min_land=0.3, min_labels=3, max_dates=1)


def _candidates(count: int = 400, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    cloud = rng.uniform(0, 0.3, count)
    return pl.DataFrame(
        {
            "chip_id": [f"w{i % (count // 2):04d}_s{i}" for i in range(count)],
            "window_id": [f"w{i % (count // 2):04d}" for i in range(count)],
            "datetime": [datetime(2020, 1, 1 + i % 20, tzinfo=UTC) for i in range(count)],
            "acquisition": [f"s2_{i}" for i in range(count)],
            "nodata_fraction": rng.choice([0.0, 0.5], count, p=[0.9, 0.1]),
            "cloud_fraction": [None if value > 0.28 else value for value in cloud],
            "land_fraction": rng.uniform(0, 1, count),
        }
    )


def _labels(candidates: pl.DataFrame, seed: int = 1) -> pl.LazyFrame:
    rng = np.random.default_rng(seed)
    rows = [(chip, f"label{n}") for chip in candidates["chip_id"] for n in range(rng.integers(0, 6))]
    return pl.LazyFrame(rows, schema={"chip_id": pl.String, "label": pl.String}, orient="row")


@pytest.mark.parametrize("sensor", SENSORS)
def test_the_ledger_reconciles_kept_and_dropped_with_the_candidates(sensor: str) -> None:
    candidates = _candidates()
    ledger = select(candidates, _labels(candidates), SENSORS[sensor], PARAMS)
    assert sorted(ledger["chip_id"]) == sorted(candidates["chip_id"])
    counts = dict(ledger.group_by("verdict").len().iter_rows())
    assert sum(counts.values()) == candidates.height
    assert counts["kept"] > 0 and set(counts) <= {"kept", "nodata", "cloud", "land", "labels", "overlap", "duplicate"}


def test_every_dropped_window_fails_its_threshold_and_every_kept_one_passes_all() -> None:
    candidates = _candidates()
    ledger = select(candidates, _labels(candidates), SENSORS["sentinel-2"], PARAMS)
    for row in ledger.iter_rows(named=True):
        if row["verdict"] == "kept":
            assert row["nodata_fraction"] <= 0.05 and row["cloud_fraction"] <= 0.1
            assert row["land_fraction"] >= 0.3 and row["label_count"] >= 3 and row["date_rank"] <= 1
        elif row["verdict"] in ("land", "labels"):
            assert row["value"] < row["threshold"]
        else:
            assert row["value"] is None or row["value"] > row["threshold"]


def test_unknown_cloud_is_not_clear_sky_but_radar_is_not_asked() -> None:
    candidates = _candidates().with_columns(cloud_fraction=pl.lit(None, pl.Float64))
    labels = _labels(candidates)
    optical = select(candidates, labels, SENSORS["landsat"], PARAMS)
    assert "kept" not in set(optical["verdict"]) and "cloud" in set(optical["verdict"])
    assert "kept" in set(select(candidates, labels, SENSORS["sentinel-1"], PARAMS)["verdict"])


def test_of_a_window_seen_twice_the_clearest_usable_scene_is_kept() -> None:
    candidates = _candidates(8).with_columns(
        nodata_fraction=0.0, land_fraction=1.0, cloud_fraction=pl.Series([0.01, 0.05, 0.02, 0.0, 0.0, 0.02, 0.09, 0.9])
    )
    labels = pl.LazyFrame(
        [(c, f"l{n}") for c in candidates["chip_id"] for n in range(3)], schema=["chip_id", "label"], orient="row"
    )
    ledger = select(candidates, labels, SENSORS["sentinel-2"], PARAMS)
    assert sorted(ledger.filter(verdict="kept")["chip_id"]) == ["w0000_s4", "w0001_s5", "w0002_s2", "w0003_s3"]


def test_one_overpass_in_two_tiles_is_one_date_of_a_window_and_the_tile_with_more_data_is_taken() -> None:
    candidates = _candidates(6).with_columns(
        window_id=pl.lit("w"),
        acquisition=pl.Series(["a", "a", "b", "b", "c", "c"]),
        nodata_fraction=pl.Series([0.04, 0.0, 0.01, 0.02, 0.0, 0.0]),
        cloud_fraction=pl.Series([0.0, 0.01, 0.05, 0.0, 0.09, 0.08]),
        land_fraction=1.0,
    )
    labels = pl.LazyFrame(
        [(c, f"l{n}") for c in candidates["chip_id"] for n in range(3)], schema=["chip_id", "label"], orient="row"
    )
    params = PARAMS.model_copy(update={"max_dates": 2})
    ledger = select(candidates, labels, SENSORS["sentinel-2"], params).sort("acquisition", "chip_id")
    assert ledger["verdict"].to_list() == ["overlap", "kept", "overlap", "kept", "overlap", "duplicate"]


def test_no_candidate_is_an_error_that_names_the_areas() -> None:
    with pytest.raises(EmptyStageError, match="see the areas"):
        select(_candidates().head(0), _labels(_candidates()), SENSORS["landsat"], PARAMS)


def _place(sensor: str, *days: float, cell: int = 640, cloud: float = 0.0) -> pl.DataFrame:
    """Windows of one place on some days; those of another cell size hold it."""
    left, bottom = (value // cell * cell for value in (1290.0, 2570.0))
    return pl.DataFrame(
        [
            {
                "chip_id": f"{sensor}_{day:g}", "window_id": f"w-{cell}", "datetime": datetime(2020, 1, 1, tzinfo=UTC)
                + timedelta(day), "acquisition": f"{sensor}-{day:g}", "epsg": 32618, "left": left, "bottom": bottom,
                "right": left + cell, "top": bottom + cell, "nodata_fraction": 0.0, "cloud_fraction": cloud,
                "land_fraction": 1.0,
            }
            for day in days
        ]
    )  # fmt: skip


def _ledger(windows: pl.DataFrame, sensor: str, others: dict[str, pl.DataFrame] | None = None, **changes: Any) -> Any:
    labels = pl.LazyFrame({"chip_id": windows["chip_id"], "label": "forest"})
    params = PARAMS.model_copy(update={"min_labels": 1, **changes})
    return select(windows, labels, SENSORS[sensor], params, others)


def test_of_dates_that_are_near_each_other_the_clearest_is_kept_and_the_days_between_are_in_the_ledger() -> None:
    windows = _place("s2", 0, 2, 6, 40).with_columns(cloud_fraction=pl.Series([0.05, 0.0, 0.02, 0.09]))
    ledger = _ledger(windows, "sentinel-2", max_dates=2, min_days_apart=5)
    verdicts = {name: (verdict, value) for name, verdict, value in ledger.select("chip_id", "verdict", "value").rows()}
    assert verdicts == {
        "s2_2": ("kept", None), "s2_40": ("kept", None), "s2_0": ("near", 2.0), "s2_6": ("near", 4.0),
    }  # fmt: skip
    assert set(ledger.filter(verdict="near")["threshold"]) == {5.0}
    apart = _ledger(windows, "sentinel-2", max_dates=2, min_days_apart=0)
    assert sorted(apart.filter(verdict="kept")["chip_id"]) == ["s2_2", "s2_6"] and "near" not in set(apart["verdict"])


@pytest.mark.parametrize(
    ("others", "verdict", "value"),
    [
        ({"sentinel-1": _place("s1", 300), "landsat": _place("l8", 9, cell=1920)}, "kept", None),
        ({"sentinel-1": _place("s1", 300), "landsat": _place("l8", 9, cell=1920, cloud=0.9)}, "together", 1.0),
        ({"sentinel-1": _place("s1", 300).with_columns(epsg=32619), "landsat": _place("l8", 9, cell=1920)},
         "together", 1.0),
    ],
    ids=["all-there", "cloudy", "elsewhere"],
)  # fmt: skip
def test_places_where_a_sensor_that_is_asked_for_has_no_clear_window_are_left_out(
    others: dict[str, pl.DataFrame], verdict: str, value: float | None
) -> None:
    ledger = _ledger(_place("s2", 0), "sentinel-2", others, together=list(others))
    assert ledger["verdict"].to_list() == [verdict] and ledger["value"].to_list() == [value]


@pytest.mark.parametrize("rows", [1, 7, 10_000])
def test_labels_are_counted_the_same_however_many_rows_are_read_together(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twice = _labels(_candidates(60)).with_columns(source=pl.lit("a"))
    labels = pl.concat([twice, twice.with_columns(source=pl.lit("b"))]).sort("chip_id").drop("source")
    wanted = labels.group_by("chip_id").agg(label_count=pl.col("label").n_unique()).sort("chip_id").collect()
    monkeypatch.setattr("tasks.select.ROWS", rows)
    assert wanted["label_count"].max() == 5
    assert label_counts(labels).sort("chip_id").equals(wanted)
    assert label_counts(labels.clear()).is_empty()
