"""The frozen list: any item goes in, and comes out as it was."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from tasks.core.errors import MissingInputError
from tasks.earth.items import read_collections, read_items, to_item, write_collections, write_items
from tests.conftest import ROOT
from tests.fixtures.stac_server import item

MIXED = [
    item("A", own=[1, 2]) | {"assets": {"red": {"href": "a.tif", "raster:bands": [{"nodata": "nan"}]}}},
    item("B", own="text", empty=None, nested={"x": None, "y": [{}, []]}) | {"stac_version": "1.0.0-beta.2"},
    item("C", own={"deep": 1.5}) | {"assets": {"red": {"href": "c.tif", "raster:bands": [{"nodata": 0}]}}},
    item("D", datetime=None, start_datetime="2020-05-20T00:00:00Z", end_datetime="2020-06-20T00:00:00Z"),
]


def test_items_of_every_kind_come_back_unchanged_whatever_types_their_fields_have(tmp_path: Path) -> None:
    write_items([to_item(one) for one in MIXED], tmp_path / "items.parquet")
    assert [one.to_dict(transform_hrefs=False) for one in read_items(tmp_path / "items.parquet")] == MIXED


def test_the_table_can_be_read_by_other_tools_with_places_and_times(tmp_path: Path) -> None:
    write_items([to_item(one) for one in MIXED], tmp_path / "items.parquet")
    table = pq.read_table(tmp_path / "items.parquet")
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["primary_column"] == "geometry"
    assert shapely.from_wkb(table["geometry"].to_pylist()[0]).bounds == (12.4, 52.4, 12.8, 52.6)
    assert str(table["datetime"].to_pylist()[3]) == "2020-05-20 00:00:00+00:00"


def test_the_same_items_are_the_same_bytes_and_none_are_a_table_without_rows(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_items([to_item(one) for one in MIXED], tmp_path / f"{name}.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    write_items([], tmp_path / "none.parquet")
    assert read_items(tmp_path / "none.parquet") == []


def test_a_list_of_an_earlier_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["A"]}), tmp_path / "items.parquet")
    with pytest.raises(MissingInputError, match="dvc repro"):
        read_items(tmp_path / "items.parquet")


def test_collections_come_back_and_a_folder_without_them_has_none(tmp_path: Path) -> None:
    assert read_collections(tmp_path) == {}
    write_collections({"s2": {"id": "s2", "item_assets": {"red": {"nodata": 0}}}}, tmp_path)
    assert read_collections(tmp_path)["s2"]["item_assets"] == {"red": {"nodata": 0}}


PUBLISHED = sorted((ROOT.parent / "shared" / "stac").rglob("*.json"))


@pytest.mark.skipif(not PUBLISHED, reason="no published items beside this checkout")
def test_published_items_of_all_catalogs_in_one_list_come_back_unchanged(tmp_path: Path) -> None:
    documents = [json.loads(path.read_text()) for path in PUBLISHED]
    items = [one | {"links": []} for one in documents if isinstance(one, dict) and one.get("type") == "Feature"]
    write_items([to_item(one) for one in items], tmp_path / "items.parquet")
    assert len(items) > 20
    assert [one.to_dict(transform_hrefs=False) for one in read_items(tmp_path / "items.parquet")] == items
