"""At which places several sensors have windows, and which dates of one window lie too near each other."""

from collections.abc import Mapping

import polars as pl

from tasks.earth.grid import FALSE_NORTHING

DAY_US = 86_400e6


def there(windows: pl.DataFrame, by_sensor: Mapping[str, pl.DataFrame]) -> pl.Series:
    """Of how many sensors a window lies in the place of each of some windows.

    Windows of different sizes share a place where the smaller one's centre lies in the larger one; the zones of the
    southern hemisphere are counted as northern ones, in which some sensors are gridded everywhere.

    Args:
        windows: epsg, left, bottom, right, top.
        by_sensor: the same columns, of the windows that count of each sensor.
    """
    sizes = [frame.select((pl.col("right") - pl.col("left")).max()).item() for frame in (windows, *by_sensor.values())]
    side = max((float(size) for size in sizes if size is not None), default=1.0)
    own = windows.select(place=_place(side))
    for sensor, frame in by_sensor.items():
        known = frame.select(place=_place(side)).unique().with_columns(pl.lit(1).alias(sensor))
        own = own.join(known, on="place", how="left", maintain_order="left")
    return own.select(pl.sum_horizontal(pl.col(sensor).fill_null(0) for sensor in by_sensor)).to_series()


def _place(side: float) -> pl.Expr:
    southern = (pl.col("epsg") >= 32700).cast(pl.Int64)
    x = (pl.col("left") + pl.col("right")) / 2
    y = (pl.col("bottom") + pl.col("top")) / 2 - FALSE_NORTHING * southern
    cells = ((value / side).floor().cast(pl.Int64) for value in (x, y))
    return pl.struct(zone=pl.col("epsg").cast(pl.Int64) - 100 * southern, column=next(cells), row=next(cells))


def ranked(dates: pl.DataFrame, most: int, min_days: float) -> pl.DataFrame:
    """Ranks of the dates of each window, those too near to one that is taken left without.

    Args:
        dates: chip_id, window_id, datetime, in the order in which the dates of a window are taken.
        most: dates taken of a window.
        min_days: between two of them.

    Returns:
        chip_id, date_rank (null where too near), near_days: to the nearest that is taken before it, null where none is.
    """
    left = dates.select("chip_id", "window_id", "datetime", near_days=pl.lit(None, pl.Float64))
    done = []
    for rank in range(1, most + 1):
        if left.is_empty():
            break
        first = left.unique("window_id", keep="first", maintain_order=True)
        done.append(first.with_columns(date_rank=pl.lit(rank, pl.Int64)))
        left = (
            left.join(first.select("chip_id"), on="chip_id", how="anti", maintain_order="left")
            .join(first.select("window_id", taken="datetime"), on="window_id", how="left", maintain_order="left")
            .with_columns(gap=(pl.col("datetime") - pl.col("taken")).dt.total_microseconds().abs() / DAY_US)
            .with_columns(near_days=pl.min_horizontal("near_days", "gap"))
            .drop("taken", "gap")
        )
        near = pl.col("near_days") < min_days
        done.append(left.filter(near).with_columns(date_rank=pl.lit(None, pl.Int64)))
        left = left.filter(~near.fill_null(False))
    done.append(left.with_columns(date_rank=most + pl.int_range(1, pl.len() + 1).over("window_id")))
    return pl.concat(done).select("chip_id", "date_rank", "near_days")
