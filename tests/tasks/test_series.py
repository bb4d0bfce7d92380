"""tasks/series.py: which images are shown together, what is said of them, and what becomes of it in training."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pyproj import Transformer

from tasks import mixture, series
from tasks.core import paths, tables
from tasks.core.errors import MissingInputError, ParamsError
from tasks.core.section import parse
from tasks.dialogue import conversations, reverify
from tasks.dialogue.pairs import CONTRADICTED, NOT_CHECKABLE, SUPPORTED, Pair
from tasks.dialogue.series.facts import PARTS, SeriesFacts
from tasks.dialogue.series.verifier import judge_series
from tasks.earth.grid import utm_epsg
from tasks.earth.series_params import SeriesRule
from tasks.earth.series_rules import find
from tasks.generators.templates.series_pairs import options
from tasks.vlm.samples import read_samples
from tests.fixtures.series_dataset import RULES, SIDES, changed, write_series_dataset

START = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset with its series and the mixture of the last stage."""
    path = tmp_path_factory.mktemp("series")
    write_series_dataset(path)
    with contextlib.chdir(path):
        series.run()
        mixture.run("3")
    return path


def chip(window: str, sensor: str, day: float, **others: Any) -> dict[str, Any]:
    """A row of the table that rules are asked of."""
    return {
        "chip_id": f"{window}_{sensor}_{day:g}", "window_id": window, "sensor": sensor, "collection": "one",
        "acquisition": f"{sensor}_2020-01-01-am_track-032", "datetime": START + timedelta(day), "cloud_fraction": 0.0,
        "bands": ["B1"], "place": f"EPSG:32618 {window} 640.0", "split": "train", **others,
    }  # fmt: skip


DATES = SeriesRule(kind="dates", sensors=["sentinel-2", "sentinel-1"], min_days=5, max_days=60, max_cloud=0.1)
BOTH = SeriesRule(kind="sensors", sensors=["sentinel-2", "sentinel-1"], max_days=3, max_cloud=0.1)


@pytest.mark.parametrize(
    ("rule", "second", "reason"),
    [
        (DATES, chip("w", "sentinel-2", 10), None),
        (DATES, chip("w", "sentinel-2", 4), "days"),
        (DATES, chip("w", "sentinel-2", 61), "days"),
        (DATES, chip("w", "sentinel-2", 10, cloud_fraction=0.2), "cloud"),
        (DATES, chip("w", "sentinel-2", 10, cloud_fraction=None), "cloud"),
        (DATES, chip("w", "sentinel-2", 10, collection="another"), "alone"),
        (DATES, chip("w", "sentinel-2", 10, place="EPSG:32618 w 320.0"), "alone"),
        (DATES, chip("v", "sentinel-2", 10), "alone"),
        (DATES, chip("w", "sentinel-2", 10, split="test"), "sides"),
        (BOTH, chip("w", "sentinel-1", 2, cloud_fraction=None), None),
        (BOTH, chip("w", "sentinel-1", 4, cloud_fraction=None), "days"),
        (BOTH, chip("w", "sentinel-1", 2, place="EPSG:32618 w 1920.0"), "grid"),
        (BOTH, chip("w", "sentinel-2", 2), "alone"),
        (BOTH, chip("w", "sentinel-1", 2, split="val"), "sides"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "kind", None),
)
def test_two_images_are_a_series_only_by_days_clear_sky_product_cell_and_side(
    rule: SeriesRule, second: dict[str, Any], reason: str | None
) -> None:
    first = chip("w", "sentinel-2", 0)
    found = find("rule", rule, pl.DataFrame([first, second], infer_schema_length=None))
    if reason is None:
        assert sorted(found.series["chips"][0]) == sorted([first["chip_id"], second["chip_id"]])
        assert found.dropped.is_empty()
    else:
        assert found.series.is_empty()
        row = found.dropped.filter(pl.col("chip_id") == second["chip_id"]).row(0, named=True)
        assert row["reason"] == reason and row["detail"]


def test_radar_dates_are_of_one_orbit_and_of_many_dates_the_window_keeps_as_many_series_as_asked() -> None:
    other = chip("w", "sentinel-1", 40, acquisition="s1_2020-02-10-pm_track-076")
    unknown = chip("w", "sentinel-1", 50, acquisition="s1_2020-02-20-am")
    optical = [chip("w", "sentinel-2", day) for day in (0, 12, 24)]  # has series of its own
    rows = [*(chip("w", "sentinel-1", day) for day in (0, 12, 24, 36)), other, unknown, *optical]
    rule = DATES.model_copy(update={"images": 3, "per_window": 1})
    found = find("three", rule, pl.DataFrame(rows))
    row, own = found.series.sort("series_id").to_dicts()
    assert own["chips"] == [f"w_sentinel-2_{day}" for day in (0, 12, 24)]
    assert row["chips"] == [f"w_sentinel-1_{day}" for day in (0, 12, 36)] and row["days"] == 36
    reasons = dict(found.dropped.select("chip_id", "reason").iter_rows())
    assert reasons == {"w_sentinel-1_24": "enough", "w_sentinel-1_40": "alone", "w_sentinel-1_50": "orbit"}


def test_radar_dates_that_catalogs_name_by_their_orbit_are_of_one_track_only_whole_cycles_apart() -> None:
    # S1A 53498 is relative orbit 51, as 53673 of the next cycle and S1B 28177 are; 53505 passes the other way.
    names = {0: "1a_orbit-53498", 12: "1a_orbit-53673", 6: "1b_orbit-28077", 0.5: "1a_orbit-53505", 30: "1c_orbit-900",
             42: "1c_orbit-1075"}  # fmt: skip
    rows = [chip("w", "sentinel-1", day, acquisition=f"sentinel-{name}") for day, name in names.items()]
    found = find("two", DATES.model_copy(update={"per_window": 9}), pl.DataFrame(rows))
    pairs = {tuple(float(one.rpartition("_")[2]) for one in chips) for chips in found.series["chips"]}
    assert pairs == {(0, 6), (0, 12), (6, 12), (30, 42)}
    assert found.dropped.select("chip_id", "reason").rows() == [("w_sentinel-1_0.5", "alone")]


def test_every_chip_of_a_rule_is_in_a_series_or_dropped_and_every_pair_kept_or_rejected(folder: Path) -> None:
    with contextlib.chdir(folder):
        summary = series.run()
        dropped = tables.read_frame(paths.series() / "dropped.parquet")
        table = tables.read_frame(paths.series() / "series.parquet")
        talks = tables.read_frame(paths.series() / "conversations.parquet")
        rejected = tables.read_frame(paths.series() / "rejected.parquet")
    for name in RULES:
        counts = summary["rules"][name]
        assert counts["series"] == len(SIDES) == table.filter(rule=name).height
        assert counts["in_series"] + dropped.filter(rule=name).height == counts["chips"]
    kept = talks["turns"].list.len().sum()
    assert summary["written"] == kept + rejected.filter(pl.col("question") != "").height
    assert kept == summary["pairs"] > 0


def test_the_same_chips_give_the_same_bytes(folder: Path) -> None:
    with contextlib.chdir(folder):
        before = {path.name: path.read_bytes() for path in paths.series().iterdir()}
        series.run()
        assert {path.name: path.read_bytes() for path in paths.series().iterdir()} == before


def test_what_is_said_of_a_series_is_verified_again_from_its_table_and_from_the_pixels(folder: Path) -> None:
    with contextlib.chdir(folder):
        found = reverify.reverify(paths.series() / "conversations.parquet")
        reverify.against_pixels(found, Path("data/chips"))
    assert found.pairs.keys() == {SUPPORTED} and not found.differences and found.chips > 0


def facts_of(folder: Path, number: int, rule: str) -> SeriesFacts:
    with contextlib.chdir(folder):
        talks = tables.read_frame(paths.series() / "conversations.parquet")
    mine = talks.filter(pl.col("chip_id").str.contains(f"c{number:05d}.*_{rule}_"))
    return SeriesFacts.from_json(mine["facts"][0])


@pytest.mark.parametrize(
    ("question", "right", "wrong"),
    [
        ("Where did the VV backscatter increase most from the first image to the last?", "north-east", "south"),
        ("In which part of the area did the VH backscatter increase most from the first image to the last?",
         "That was most so in the north-east of the area.", "That was most so in the north of the area."),
        ("How did the vegetation index change from the first image to the last?",
         "This cannot be told from these images.", "increased"),
    ],
    ids=["vv", "sentence", "untold"],
)  # fmt: skip
def test_a_change_is_found_where_it_is_and_what_a_radar_cannot_tell_is_not_guessed(
    folder: Path, question: str, right: str, wrong: str
) -> None:
    facts = facts_of(folder, 0, "two-dates")
    states = [one.state for one in judge_series(facts, [Pair(question, right, ""), Pair(question, wrong, "")])]
    assert states == [SUPPORTED, CONTRADICTED]


def test_a_difference_that_is_neither_clear_nor_none_is_not_checkable(folder: Path) -> None:
    facts = facts_of(folder, 0, "two-dates")  # a ninth of the window rose by 6 dB: 0.7 dB of the whole
    question = "Did the VV backscatter increase, decrease or stay about the same from the first image to the last?"
    answers = ("increased", "stayed about the same", "decreased")
    verdicts = judge_series(facts, [Pair(question, answer, "") for answer in answers])
    assert {one.state for one in verdicts} == {NOT_CHECKABLE}
    still = judge_series(facts_of(folder, 1, "two-dates"), [Pair(question, answer, "") for answer in answers])
    assert [one.state for one in still] == [CONTRADICTED, SUPPORTED, CONTRADICTED] and not changed(1)


def test_nothing_is_asked_of_a_series_one_of_whose_images_holds_no_data(folder: Path) -> None:
    facts = facts_of(folder, 0, "both")
    assert options(facts)
    last = facts.images[-1]
    blank = replace(last, cells={name: (None,) * len(cells) for name, cells in last.cells.items()})
    empty = replace(facts, images=(*facts.images[:-1], blank))
    assert not options(empty)
    (verdict,) = judge_series(empty, [Pair("Which image is a radar image?", "the first image", "")])
    assert (verdict.state, verdict.reason) == (NOT_CHECKABLE, "the second image holds no data")


def test_a_chip_that_the_split_has_not_seen_stops_the_stage_by_its_name(tmp_path: Path) -> None:
    write_series_dataset(tmp_path)
    path = tmp_path / "data/split/assignment.parquet"
    whole = tables.read_frame(path).sort("chip_id")
    tables.write(whole.tail(whole.height - 1).to_arrow(), path)
    with (
        contextlib.chdir(tmp_path),
        pytest.raises(MissingInputError, match=f"1 chips .* such as {whole['chip_id'][0]}; rebuild"),
    ):
        series.run()


@pytest.mark.parametrize(("east", "west"), [(179.97, -179.97), (11.97, 12.03)], ids=["antimeridian", "zones"])
def test_windows_on_both_sides_of_a_zone_s_edge_are_two_places_each_with_its_own_series(
    east: float, west: float
) -> None:
    rows = []
    for longitude in (east, west):
        epsg = int(utm_epsg(np.array([longitude]), np.array([-16.5]))[0])
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(longitude, -16.5)
        window = f"{epsg}-0640-c{int(x // 640):05d}-r{int(y // 640):05d}"
        place = f"EPSG:{epsg} {x // 640 * 640} {y // 640 * 640} 640.0"
        rows += [chip(window, "sentinel-2", day, place=place) for day in (0, 10)]
        rows += [chip(window, "sentinel-1", 1, place=place, cloud_fraction=None)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    for rule in (DATES, BOTH):
        found = find("edge", rule, frame)
        assert found.series.height == 2 and found.series["window_id"].n_unique() == 2
        assert all(len({one[:5] for one in chips}) == 1 for chips in found.series["chips"])


def test_images_of_one_moment_are_no_series_of_dates_and_are_not_asked_which_came_first(folder: Path) -> None:
    anywhen = DATES.model_copy(update={"min_days": 0})
    rows = [chip("w", "sentinel-2", 0), chip("w", "sentinel-2", 0, chip_id="twin")]
    found = find("same", anywhen, pl.DataFrame(rows))
    assert found.series.is_empty() and set(found.dropped["reason"]) == {"days"}
    facts = facts_of(folder, 0, "both")
    taken = facts.images[0].taken
    same = replace(facts, images=tuple(replace(image, taken=taken) for image in facts.images))
    assert "taken" in options(facts) and "taken" not in options(same)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Where did it change?", "north"),
        ("Which of the images shows the highest VV backscatter?", "the first image and the second image"),
        ("Where did the VV backscatter increase most from the first image to the last?", "not in the north"),
    ],
)
def test_words_that_are_not_understood_are_never_supported(folder: Path, question: str, answer: str) -> None:
    (verdict,) = judge_series(facts_of(folder, 0, "two-dates"), [Pair(question, answer, "")])
    assert verdict.state == NOT_CHECKABLE


def test_a_mixture_shows_each_series_on_its_side_with_an_image_for_each_date_or_sensor(folder: Path) -> None:
    with contextlib.chdir(folder):
        sides = {name: list(read_samples(paths.mixture("3") / f"{name}.parquet")) for name in mixture.SPLITS}
    several = {name: [one for one in some if len(one.images) > 1] for name, some in sides.items()}
    windows = {name: {one.chip_id[:24] for one in some} for name, some in several.items()}
    assert all(windows.values()) and not windows["train"] & (windows["test"] | windows["val"])
    for sample in (one for some in several.values() for one in some):
        head = sample.turns[0][0].partition("\n")[0]
        assert head.count(conversations.IMAGE) == len(sample.images) == 2
        sensors = {image.sensor for image in sample.images}
        if sensors == {"sentinel-1"}:
            assert "[s1_vh_temp_10]" in head and [image.datetime for image in sample.images] == sorted(
                image.datetime for image in sample.images if image.datetime
            )
        else:
            assert head.startswith("[s1_vh_10] [s2_ms_10]") or "[s1_vh_10] [s2_ms_10]" in head
            assert {image.modality for image in sample.images} == {"ms", "sar"}
        if sample.question_types[0] in ("series-change", "series-where", "series-untold"):
            assert head.startswith("[changedet] ")
    first = {sample.images[0].sensor for sample in several["train"] if len({i.sensor for i in sample.images}) > 1}
    assert first == {"sentinel-1", "sentinel-2"}  # the place of an image does not tell its sensor


def test_facts_of_a_series_say_what_is_wrong_with_them_and_come_back_as_they_were(folder: Path) -> None:
    facts = facts_of(folder, 0, "both")
    assert SeriesFacts.from_json(facts.to_json()) == facts and len(PARTS) == 9
    row = json.loads(facts.to_json())
    row["images"][0]["cells"]["vv"] = [0.0]
    with pytest.raises(ValueError, match="9 x 9"):
        SeriesFacts.from_json(json.dumps(row))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sensors": ["sentinel-9"]}, "there is no sensor 'sentinel-9'"),
        ({"kind": "sensors", "sensors": ["sentinel-1"]}, "names 2 to 4"),
        ({"min_days": 190}, "more than max_days"),
        ({"sensors": ["sentinel-1", "sentinel-1"]}, "named twice"),
    ],
)
def test_a_rule_that_cannot_be_is_a_wrong_parameter(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        parse(SeriesRule, {**RULES["two-dates"], **changes})
