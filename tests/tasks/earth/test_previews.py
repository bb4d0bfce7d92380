"""Previews are whatever the catalog gives; what cannot be had costs no scene."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from tasks.earth.catalog import Query
from tasks.earth.previews import Previews, save_previews
from tests.fixtures.stac_server import Answer, Asked, item, serve


def picture(kind: str, side: int = 40) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(out, kind)
    return out.getvalue()


def scene(name: str, href: str, kind: str = "image/jpeg", **properties: object) -> dict:
    found = item(name, **properties)
    found["assets"]["thumbnail"] = {"href": href, "type": kind, "roles": ["thumbnail"]}
    return found


def save(items: list[dict], files: dict[str, bytes], folder: Path, habit: object = None) -> tuple[Previews, dict]:
    with serve(items, habit, files) as served:  # type: ignore[arg-type]
        catalog = served.catalog(max_wait=0.1)
        found = save_previews(catalog, catalog.search(Query("s2", None, None, None), 50), folder)
    return found, json.loads((folder / "thumbnails.json").read_text())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_preview_of_any_kind_becomes_a_png_in_its_scene_s_box(kind: str, tmp_path: Path) -> None:
    scenes = [scene("A", "a.bin", f"image/{kind.lower()}")]
    found, places = save(scenes, {"a.bin": picture(kind)}, tmp_path)
    assert found == Previews(1, 0)
    assert places == {"A": {"bounds": [12.4, 52.4, 12.8, 52.6], "crs": "EPSG:4326"}}
    with Image.open(tmp_path / "thumbnails/A.png") as kept:
        assert kept.format == "PNG"


def test_its_place_is_that_of_the_raster_it_shows_where_the_item_says_it(tmp_path: Path) -> None:
    boxed = scene("A", "a.jpg", **{"proj:epsg": 32633, "proj:bbox": [330000, 5814360, 345360, 5822040]})
    gridded = scene("B", "a.jpg", **{"proj:code": "EPSG:32633"})
    gridded["assets"]["red"] |= {"proj:shape": [768, 1536], "proj:transform": [10, 0, 330000, 0, -10, 5822040]}
    _, places = save([boxed, gridded], {"a.jpg": picture("JPEG")}, tmp_path)
    assert places["A"] == places["B"] == {"bounds": [330000, 5814360, 345360, 5822040], "crs": "EPSG:32633"}


def test_dead_foreign_huge_or_odd_previews_are_counted_and_no_more(tmp_path: Path) -> None:
    odd = [
        scene("dead", "gone.jpg"),
        scene("s3", "s3://someone/x.jpg"),
        scene("file", "file:///etc/passwd"),
        scene("host", "https://evil.example/x.jpg"),
        scene("text", "text.jpg"),
        scene("huge", "huge.jpg"),
        scene("bomb", "bomb.png"),
        scene("epsg", "a.jpg", **{"proj:epsg": 99999999}),
        scene("fine", "a.jpg"),
        item("none"),
    ]
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "PNG")
    files = {"a.jpg": picture("JPEG"), "text.jpg": b"<html>", "bomb.png": bomb.getvalue()}

    def huge(asked: Asked) -> Answer | None:
        return Answer(200, b"x", {"Content-Length": "9000000000"}) if "huge" in asked.path else None

    found, places = save(odd, files, tmp_path, huge)
    assert found == Previews(2, 7) and set(places) == {"epsg", "fine"}


def test_a_picture_along_the_track_of_a_radar_has_no_place_on_a_map(tmp_path: Path) -> None:
    seen = scene("GRD", "a.png", "image/png", **{"sar:product_type": "GRD", "proj:epsg": 4326})
    found, places = save([seen], {"a.png": picture("PNG")}, tmp_path)
    assert found == Previews(0, 1) and places == {}
