"""Stage `scenes` on a catalog of one's own: what is taken is frozen, and what is not has a row."""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import yaml

from tasks import scenes
from tasks.core.errors import CatalogError, EmptyStageError, ParamsError
from tasks.core.section import load
from tasks.earth.items import read_collections, read_items
from tasks.scenes import SearchParams
from tests.conftest import ROOT
from tests.fixtures.stac_server import Served, item, serve

Configure = Callable[..., None]
FOLDER = Path("data/scenes/sentinel-2")


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """Write params.yaml for a catalog that is being served, into an empty folder made the current one."""
    monkeypatch.chdir(tmp_path)

    def write(served: Served, search: dict | None = None, **changes: object) -> None:
        values = yaml.safe_load((ROOT / "params.yaml").read_text())
        own = {"url": served.url, "collections": {"sentinel-2": ["s2", "s2b"]}, "labels": ["cover"], "sign": "none"}
        values["catalog"], values["catalogs"] = "own", {"own": own | {"requests_per_second": 1000}}
        values["areas"] = {"here": [12.5, 52.45, 12.6, 52.55]}
        values["sensors"]["sentinel-2"] = {"datetime": "2020-06", "max_scene_cloud": 20} | (search or {})
        values["scenes"] |= {"max_wait": 1} | changes
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))

    return write


def test_what_is_taken_is_frozen_with_its_collections_and_the_rest_has_a_row(configure: Configure) -> None:
    cloudless = item("S2A_33UVU_20200615_0_L2A", datetime="2020-06-15T10:00:00Z")
    del cloudless["properties"]["eo:cloud_cover"]
    dead = item("S2A_33UVU_20200610_1_L2A", **{"s2:processing_baseline": "05.00"})
    dead["assets"]["thumbnail"] = {"href": "gone.png", "type": "image/png"}
    offered = [
        item("S2A_33UVU_20200610_0_L2A", **{"s2:processing_baseline": "02.14"}),
        dead,
        cloudless,
        item("S2A_33UVU_20200615_0_L2A", "s2b", datetime="2020-06-15T10:00:00Z"),
        item("cloudy", **{"eo:cloud_cover": 90}),
        item("broken") | {"geometry": None},
        item("C1", "cover", datetime=None, start_datetime="2020-01-01T00:00:00Z", end_datetime="2020-12-31T00:00:00Z"),
    ]
    tables = []
    for _ in range(2):
        with serve(offered) as served:
            configure(served)
            summary = scenes.run("sentinel-2")
            tables.append((FOLDER / "quarantine.parquet").read_bytes())
    assert tables[0] == tables[1], "though the server had another port"
    assert [one.id for one in read_items(FOLDER / "items.parquet")] == [dead["id"], cloudless["id"]]
    assert [one.id for one in read_items(FOLDER / "labels.parquet")] == ["C1"]
    assert set(read_collections(FOLDER)) == {"s2", "cover"}
    rows = pl.read_parquet(FOLDER / "quarantine.parquet").select("item_id", "asset", "reason").rows()
    assert sorted(rows) == [
        ("S2A_33UVU_20200610_0_L2A", "s2", "superseded"),
        ("S2A_33UVU_20200615_0_L2A", "s2b", "superseded"),
        ("broken", "s2", "no-geometry"),
    ]
    assert summary["scenes"] == 2 and summary["superseded"] == 2 and summary["cloud_unknown"] == 1
    assert summary["thumbnails"] == 0 and summary["thumbnails_skipped"] == 1
    assert json.loads((FOLDER / "thumbnails.json").read_text()) == {}


def test_a_malformed_label_item_has_a_row_and_the_others_stay(configure: Configure) -> None:
    offered = [item("S2A_33UVU_20200610_0_L2A"), item("C1", "cover"), item("C2", "cover") | {"geometry": None}]
    with serve(offered) as served:
        configure(served)
        scenes.run("sentinel-2")
    assert [one.id for one in read_items(FOLDER / "labels.parquet")] == ["C1"]
    rows = pl.read_parquet(FOLDER / "quarantine.parquet").select("item_id", "asset", "reason").rows()
    assert rows == [("C2", "cover", "no-geometry")]


def test_too_many_scenes_are_an_error_counted_after_the_filter(configure: Configure) -> None:
    days = [item(f"S2A_33UVU_202006{day:02d}_0_L2A", datetime=f"2020-06-{day:02d}T10:00:00Z") for day in range(1, 9)]
    with serve([*days, *(item(f"cloudy-{n}", **{"eo:cloud_cover": 90}) for n in range(9))]) as served:
        configure(served, max_items=8)
        assert scenes.run("sentinel-2")["scenes"] == 8
        configure(served, max_items=7)
        with pytest.raises(CatalogError, match=r"more than 7 items of 's2'"):
            scenes.run("sentinel-2")


def test_an_area_of_the_whole_earth_is_refused_with_what_it_would_cost_before_all_is_asked_for(
    configure: Configure,
) -> None:
    with serve([item(f"S2A_33UVU_202006{day:02d}_0_L2A") for day in range(1, 31)]) as served:
        configure(served, max_windows=1000)
        values = yaml.safe_load(Path("params.yaml").read_text())
        values["areas"] = {"all": [-180, -90, 180, 90]}
        Path("params.yaml").write_text(yaml.safe_dump(values))
        cost = r"30 scenes .*candidate windows, .* GB of pixels.*max_windows allows 1,000"
        with pytest.raises(ParamsError, match=cost):
            scenes.run("sentinel-2")
        assert sum(int(asked.body.get("limit", 0)) > 20 for asked in served.asked if asked.path == "/search") <= 2


def test_a_catalog_that_gives_only_what_cannot_be_used_says_so(configure: Configure) -> None:
    with serve([item("broken") | {"geometry": None}]) as served:
        configure(served)
        with pytest.raises(EmptyStageError, match=r"no scene of sentinel-2.*cannot be used.*no geometry in degrees"):
            scenes.run("sentinel-2")


@pytest.mark.parametrize(
    ("written", "read"),
    [("2020", "2020"), ("2020-06", "2020-06"), ("2020-06-10", "2020-06-10"), ("2020-06/..", "2020-06/..")],
)
def test_dates_as_yaml_reads_them_are_taken_as_they_are_written(
    written: str, read: str, configure: Configure, tmp_path: Path
) -> None:
    (tmp_path / "params.yaml").write_text(f"sensors: {{a: {{datetime: {written}, max_scene_cloud: null}}}}")
    assert load(SearchParams, "sensors.a").datetime == read


def test_what_is_no_date_is_named_by_its_parameter(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("sensors: {a: {datetime: June, max_scene_cloud: null}}")
    with pytest.raises(ParamsError, match=r"'sensors\.a\.datetime' is 'June': 'June' is not a date"):
        load(SearchParams, "sensors.a")
