"""An asset that changed upstream since the scenes were frozen is noticed and named, never mixed in."""

from pathlib import Path

import pystac
import pytest
import yaml

from tasks.core.errors import SceneError
from tasks.earth.asset_versions import freeze_versions, read_versions
from tasks.earth.assets import resolve
from tasks.earth.catalog import Query
from tasks.earth.raster import open_asset
from tasks.earth.sensors import SENSORS
from tests.conftest import ROOT
from tests.fixtures.published_catalogs import LAYOUTS, published
from tests.fixtures.stac_server import Answer, Asked, item, serve

LAYOUT = next(layout for layout in LAYOUTS if (layout.preset, layout.sensor) == ("planetary-computer", "landsat"))
PRESET = yaml.safe_load((ROOT / "params.yaml").read_text())["catalogs"][LAYOUT.preset]
SENSOR = SENSORS[LAYOUT.sensor]


def test_an_asset_that_changed_since_it_was_frozen_is_refused_by_name_and_the_others_are_read(tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    with published(LAYOUT, PRESET, files) as running:
        items = running.catalog.find(Query(LAYOUT.collection, [14.9, 52.5, 15.1, 52.6], "2023-06", None), 5).items
        assert freeze_versions(running.catalog, items, {}, SENSOR, tmp_path) == 1 + len(resolve(items[0], SENSOR))
        red = next(path for path in files if path.endswith("red.tif"))
        files[red] = files[red] + b"\0"
        later = running.again()
        later.frozen = read_versions(tmp_path)
        assets = resolve(items[0], SENSOR)
        with open_asset(assets[SENSOR.rgb[2]], later) as opened:
            assert opened.dataset.count == 1
        frozen = r"red\.tif is not what it was when the scenes were frozen"
        with pytest.raises(SceneError, match=frozen) as caught, open_asset(assets[SENSOR.rgb[0]], later):
            pass
        port = running.served.url.rpartition(":")[2]
    assert caught.value.reason == "changed"
    assert port not in str(caught.value), "it is another in every run"


def test_versions_hold_no_address_beside_what_the_item_says_and_no_signature(tmp_path: Path) -> None:
    with published(LAYOUT, PRESET) as running:
        items = running.catalog.find(Query(LAYOUT.collection, [14.9, 52.5, 15.1, 52.6], "2023-06", None), 5).items
        freeze_versions(running.catalog, items, {}, SENSOR, tmp_path)
        known = read_versions(tmp_path)
        assert set(known) <= {asset.href for asset in items[0].assets.values()}
        assert not any("127.0.0.1" in version or "sig=" in version for version in known.values())


@pytest.mark.parametrize("busy", [1, 9], ids=["busy-once", "busy-always"])
def test_a_busy_server_is_asked_again_and_what_it_never_says_is_said(
    busy: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def habit(asked: Asked) -> Answer | None:
        return Answer(503, b"busy") if asked.path.endswith(".tif") and asked.times < busy else None

    made = item(**{"eo:cloud_cover": 1.0})
    with serve([made], habit, files={"assets/I0/red.tif": b"pixels"}) as running:
        hrefs = {"assets": {"B04": {"href": f"{running.url}/assets/I0/red.tif"}}}
        known = freeze_versions(
            running.catalog(), [pystac.Item.from_dict(made | hrefs)], {}, SENSORS["sentinel-2"], tmp_path
        )
    assert known == (busy == 1) == len(read_versions(tmp_path))
    warned = "of 1 of 1 scenes and label items a server does not say which version their files are, the first I0"
    assert (warned in caplog.text) == (busy > 1)
