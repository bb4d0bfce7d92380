"""Which chips of one window make a series: several dates of one sensor, or one image of each of several sensors.

Tables alone, no pixel. Every chip of a rule's sensors is in a series of that rule or in `dropped` with its reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.earth.sensors import SENSORS, Sensor
from tasks.earth.series_params import SeriesRule

DAY = 86_400.0
PRUNED = 64
"""Beginnings of series that are followed up in a window: with many dates all of them would be too many to try."""
TEXT = pl.String()
SERIES: dict[str, pl.DataType] = {
    "series_id": TEXT, "rule": TEXT, "kind": TEXT, "window_id": TEXT, "split": TEXT, "chips": pl.List(pl.String),
    "days": pl.Float64(),
}  # fmt: skip
DROPPED: dict[str, pl.DataType] = dict.fromkeys(("rule", "window_id", "chip_id", "sensor", "reason", "detail"), TEXT)
LIKE = ("sensor", "collection", "bands", "pass")
"""What the dates of a series share besides their window and its place: of two products, instruments or orbits a
difference would be no change of the ground."""


@dataclass(frozen=True)
class Found:
    """What one rule finds."""

    series: pl.DataFrame
    """Rows of `SERIES`, by id. Chips are in the order in which they are shown."""
    dropped: pl.DataFrame
    """Rows of `DROPPED`, by chip."""

    @property
    def chips(self) -> pl.Series:
        """Every chip of a series, each once."""
        return _members(self.series)


def find(name: str, rule: SeriesRule, chips: pl.DataFrame) -> Found:
    """The series of a rule.

    Args:
        name: of the rule.
        rule: of params.yaml.
        chips: one row a chip: chip_id, window_id, sensor, collection, acquisition, datetime, cloud_fraction, bands,
            place (CRS and bounds, a text), split.
    """
    radars = [sensor for sensor in rule.sensors if SENSORS[sensor].polarisations]
    clear = pl.col("cloud_fraction") <= rule.max_cloud
    asked = chips.filter(pl.col("sensor").is_in(rule.sensors)).with_columns(
        clear=pl.when(pl.col("sensor").is_in([s for s in rule.sensors if SENSORS[s].mask])).then(clear).otherwise(True),
        bands=pl.col("bands").list.join(","),
        t=pl.col("datetime").dt.timestamp("us") / 1e6 / DAY,
        stamp=pl.col("datetime").dt.strftime("%Y%m%dT%H%M%S"),
        # A radar looks from one side: only the same orbit, ascending or descending, shows the same slopes and walls.
        **{"pass": pl.coalesce(*(_orbit(SENSORS[name]) for name in radars), pl.lit(""))},
    )
    asked = asked.with_columns(pl.col("clear").fill_null(False))
    if rule.kind == "sensors":
        asked = asked.with_columns(one_orbit=pl.lit(True))
        usable = asked.filter(pl.col("clear"))
        series = _of_sensors(rule, usable)
    else:
        asked = asked.with_columns(one_orbit=(pl.col("pass") != "") | ~pl.col("sensor").is_in(radars))
        usable = asked.filter(pl.col("clear") & pl.col("one_orbit"))
        series = _of_dates(rule, usable)
    series = series.with_columns(series_id=pl.format("{}_{}_{}", "window_id", pl.lit(name), "key"))
    fitting = _members(series)
    best = (
        series.sort("rank", "cloud", "last", "series_id", descending=[False, False, True, False])
        .with_columns(turn=pl.int_range(pl.len()).over("window_id", "of"))
        .filter(pl.col("turn") < rule.per_window)
    )
    sides = (
        best.select("series_id", "chips")
        .explode("chips", empty_as_null=True, keep_nulls=True)
        .join(chips.select(chips="chip_id", split="split"), on="chips", how="left")
        .group_by("series_id")
        .agg(pl.col("split").n_unique().alias("sides"), pl.col("split").first())
    )
    best = best.join(sides, on="series_id", how="left")
    torn = _members(best.filter(pl.col("sides") != 1))
    best = best.filter(pl.col("sides") == 1)
    kept = _members(best)
    rows = best.select(
        "series_id", "window_id", "split", "chips", "days", rule=pl.lit(name), kind=pl.lit(rule.kind)
    ).select(list(SERIES))
    dropped = _dropped(name, rule, asked, usable, fitting, torn, kept)
    return Found(rows.cast(dict[Any, pl.DataType](SERIES)).sort("series_id"), dropped)


def _orbit(sensor: Sensor) -> pl.Expr:
    """Name of the relative orbit of a radar's chips, from that of their overpass; null of others, and where unknown.

    Most catalogs name an overpass by the number of its orbit. Those of one platform that are whole cycles apart see
    the same ground; of two platforms that is known only where it is known with which orbit their cycles begin.
    """
    name = pl.col("acquisition")
    orbit = name.str.extract(r"_orbit-(\d+)$").cast(pl.Int64)
    platform = name.str.extract(r"^(.+)_orbit-\d+$")
    cycle = pl.lit(sensor.orbits_per_cycle, pl.Int64)
    first = platform.replace_strict(list(sensor.first_orbits), list(sensor.first_orbits.values()), default=None,
                                    return_dtype=pl.Int64)  # fmt: skip
    relative = pl.format("_track-{}", ((orbit - first) % cycle + 1).cast(pl.String).str.zfill(3))
    own = pl.format("{}_orbit-{}-of-{}", platform, orbit % cycle, cycle)
    found = pl.coalesce(name.str.extract(r"((?:-[ap]m)?_track-\w+)$"), relative, own)
    return pl.when(pl.col("sensor") == sensor.name).then(found)


def _members(series: pl.DataFrame) -> pl.Series:
    return series["chips"].explode(empty_as_null=True, keep_nulls=True).drop_nulls().unique()


def _of_dates(rule: SeriesRule, usable: pl.DataFrame) -> pl.DataFrame:
    """Candidates: window_id, of (what has its own number of them), chips, days, rank, cloud, last, key."""
    same = ["window_id", "place", *LIKE]
    one = usable.select(*same, "t", "chip_id", "stamp", cloud=pl.col("cloud_fraction").fill_null(0.0))
    found = one.with_columns(chips=pl.concat_list("chip_id"), first="t", last="t", stamps="stamp")
    found = found.drop("chip_id", "t", "stamp")
    for _ in range(rule.images - 1):
        found = (
            found.join(one.rename({"cloud": "more"}), on=same)
            .filter((pl.col("t") - pl.col("last") >= rule.min_days) & (pl.col("t") > pl.col("last")))
            .filter(pl.col("t") - pl.col("first") <= rule.max_days)
            .with_columns(
                chips=pl.concat_list("chips", pl.concat_list("chip_id")),
                cloud=pl.max_horizontal("cloud", "more"),
                last="t",
                stamps=pl.format("{}_{}", "stamps", "stamp"),
            )
            .drop("chip_id", "t", "more", "stamp")
            .sort([*same, "cloud", "last", "stamps"], descending=[False] * (len(same) + 1) + [True, False])
            .with_columns(turn=pl.int_range(pl.len()).over(same))
            .filter(pl.col("turn") < PRUNED)
            .drop("turn")
        )
    return found.with_columns(
        rank=pl.lit(0.0),
        days=(pl.col("last") - pl.col("first")).round(3),
        key=pl.format("{}_{}", "sensor", "stamps"),
        of="sensor",
    ).select("window_id", "of", "chips", "days", "rank", "cloud", "last", "key")


def _of_sensors(rule: SeriesRule, usable: pl.DataFrame) -> pl.DataFrame:
    """As `_of_dates`; the nearest dates come first."""
    same = ["window_id", "place"]
    found: pl.DataFrame | None = None
    for sensor in rule.sensors:
        one = usable.filter(pl.col("sensor") == sensor).select(
            *same, "t", "stamp", chips=pl.concat_list("chip_id"), cloud=pl.col("cloud_fraction").fill_null(0.0)
        )
        if found is None:
            found = one.with_columns(first="t", last="t").drop("t")
            continue
        found = (
            found.join(one, on=same, suffix="_more")
            .with_columns(
                first=pl.min_horizontal("first", "t"),
                last=pl.max_horizontal("last", "t"),
                cloud=pl.max_horizontal("cloud", "cloud_more"),
                chips=pl.concat_list("chips", "chips_more"),
                stamp=pl.format("{}_{}", "stamp", "stamp_more"),
            )
            .drop("t", "cloud_more", "chips_more", "stamp_more")
            .filter(pl.col("last") - pl.col("first") <= rule.max_days)
        )
    assert found is not None  # a rule names sensors
    # Which sensor comes first changes from window to window like the colours of a chessboard: the place of an image in
    # the sample must not tell its sensor.
    place = pl.col("window_id").str.extract_groups(r"-c(-?\d+)-r(-?\d+)").struct
    odd = (place.field("1").cast(pl.Int64) + place.field("2").cast(pl.Int64)) % 2 == 1
    days = pl.col("last") - pl.col("first")
    return (
        found.filter(days >= rule.min_days)
        .with_columns(
            key=pl.format("{}_{}", pl.lit("+".join(rule.sensors)), "stamp"),
            days=days.round(3),
            rank=days.round(3),
            of=pl.lit(""),
        )
        .with_columns(chips=pl.when(odd.fill_null(False)).then(pl.col("chips").list.reverse()).otherwise("chips"))
        .select("window_id", "of", "chips", "days", "rank", "cloud", "last", "key")
    )


def _dropped(
    name: str,
    rule: SeriesRule,
    asked: pl.DataFrame,
    usable: pl.DataFrame,
    fitting: pl.Series,
    torn: pl.Series,
    kept: pl.Series,
) -> pl.DataFrame:
    """Every chip that a rule asks for and that is in none of its series, with the first thing that keeps it out."""
    if rule.kind == "dates":
        group = ["window_id", "place", *LIKE]
        there = usable.group_by(group).agg(there=pl.len())
        placed = pl.lit(False)
        alone = pl.format("{} clear images of this window, sensor, product and orbit; {} make a series",
                          pl.col("there").fill_null(0), pl.lit(rule.images))  # fmt: skip
    else:
        group = ["window_id", "place"]
        there = usable.group_by(group).agg(there=pl.col("sensor").n_unique())
        anywhere = usable.group_by("window_id").agg(anywhere=pl.col("sensor").n_unique())
        asked = asked.join(anywhere, on="window_id", how="left")
        placed = pl.col("anywhere") >= rule.length
        alone = pl.format("clear images of {} of the sensors {} are in this window",
                          pl.col("there").fill_null(0), pl.lit(", ".join(rule.sensors)))  # fmt: skip
    few = pl.col("there").fill_null(0) < rule.length
    reasons: Sequence[tuple[str, pl.Expr, pl.Expr]] = (
        ("cloud", ~pl.col("clear"),
         pl.format("cloud {}, {} allowed", pl.col("cloud_fraction").cast(pl.String).fill_null("not known"),
                   pl.lit(rule.max_cloud))),
        ("orbit", ~pl.col("one_orbit"), pl.lit("its relative orbit is not known, nor so which dates are like it")),
        ("grid", few & placed, pl.lit("the sensors' windows of this name lie in different places or sizes")),
        ("alone", few, alone),
        ("days", ~pl.col("chip_id").is_in(fitting.implode()),
         pl.lit(f"no others are {rule.min_days:g} to {rule.max_days:g} days apart from it")),
        ("sides", pl.col("chip_id").is_in(torn.implode()), pl.lit("its series would lie on two sides of the split")),
        ("enough", pl.lit(True), pl.lit(f"the window has its {rule.per_window} series by clearer or nearer images")),
    )  # fmt: skip
    reason, detail = pl.lit(""), pl.lit("")
    for code, fails, why in reversed(reasons):
        reason = pl.when(fails).then(pl.lit(code)).otherwise(reason)
        detail = pl.when(fails).then(why).otherwise(detail)
    return (
        asked.filter(~pl.col("chip_id").is_in(kept.implode()))
        .join(there, on=group, how="left")
        .with_columns(rule=pl.lit(name), reason=reason, detail=detail)
        .select(list(DROPPED))
        .sort("chip_id")
    )
