"""The geographic split and its certificate."""

import numpy as np
import polars as pl
import pytest

from tasks.core.errors import LeakageError
from tasks.earth.geographic_split import ChipFootprints, certify, set_apart
from tasks.split import SplitParams, assign

PARAMS = SplitParams(seed=1, block_cells=4, val=0.12, test=0.22, buffer=640)


def _chips(side: int = 40, size: float = 640.0, epsg: int = 32618, sensor: str = "sentinel-2") -> pl.DataFrame:
    columns, rows = (a.ravel() for a in np.meshgrid(np.arange(side), np.arange(side)))
    left, bottom = 400_000 + columns * size, 4_100_000 + rows * size
    names = [f"{epsg}-{size:.0f}-{c}-{r}" for c, r in zip(columns, rows, strict=True)]
    return pl.DataFrame(
        {
            "chip_id": [f"{name}_{sensor}" for name in names],
            "window_id": names,
            "sensor": sensor,
            "epsg": epsg,
            "left": left,
            "bottom": bottom,
            "right": left + size,
            "top": bottom + size,
        }
    )


def _split(chips: pl.DataFrame) -> pl.DataFrame:
    sides = set_apart(assign(chips, 2560, PARAMS), ChipFootprints(chips), PARAMS.buffer)
    return chips.with_columns(split=pl.Series(sides))


def test_no_train_chip_lies_nearer_than_the_buffer_to_a_test_chip_of_any_sensor() -> None:
    chips = _split(pl.concat([_chips(), _chips(13, 1920.0, sensor="landsat")]))
    found = certify(chips, 640)
    train, test = (
        chips.filter(split=side).select("left", "bottom", "right", "top").to_numpy() for side in ("train", "test")
    )
    across = np.maximum(0, np.maximum(train[:, None, 0] - test[None, :, 2], test[None, :, 0] - train[:, None, 2]))
    along = np.maximum(0, np.maximum(train[:, None, 1] - test[None, :, 3], test[None, :, 1] - train[:, None, 3]))
    assert found["train-test"]["min_distance_m"] == pytest.approx(np.hypot(across, along).min())
    assert found["train-test"]["min_distance_m"] >= 640


def test_a_chip_moved_across_fails_the_certificate_and_is_named() -> None:
    chips = _split(_chips())
    test = chips.filter(split="test").row(0, named=True)
    leaked = chips.with_columns(
        split=pl.when(pl.col("chip_id") == test["chip_id"]).then(pl.lit("train")).otherwise(pl.col("split"))
    )
    with pytest.raises(LeakageError, match=test["chip_id"]):
        certify(leaked, 640)


def test_the_same_window_seen_by_another_date_on_the_other_side_fails_the_certificate() -> None:
    chips = _split(_chips())
    twin = chips.filter(split="test").head(1).with_columns(chip_id=pl.lit("twin"), split=pl.lit("train"))
    with pytest.raises(LeakageError, match="1 windows are on both sides"):
        certify(pl.concat([chips, twin]), 640)


def test_new_scenes_do_not_move_old_chips_from_one_side_to_the_other() -> None:
    few, many = _chips(20), _chips(40)
    before = dict(zip(few["chip_id"], assign(few, 2560, PARAMS), strict=True))
    after = dict(zip(many["chip_id"], assign(many, 2560, PARAMS), strict=True))
    assert all(after[chip] == side for chip, side in before.items())


def test_chips_of_two_zones_at_their_border_are_kept_apart_too() -> None:
    # 12 degrees east at 52.5 north, written in the zones on both sides of it.
    west = _chips(1, epsg=32632).with_columns(left=703_000.0, right=703_640.0, bottom=5_820_000.0, top=5_820_640.0)
    east = _chips(1, epsg=32633).with_columns(left=296_360.0, right=297_000.0, bottom=5_820_000.0, top=5_820_640.0)
    chips = pl.concat([west, east]).with_columns(split=pl.Series(["train", "test"]))
    with pytest.raises(LeakageError):
        certify(chips, 640)
