"""Files behind an address are opened for what they hold, lead nowhere else, and take no more memory than allowed."""

import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from tasks.core.errors import SceneError
from tasks.earth.assets import Asset
from tasks.earth.catalog import Catalog, CatalogParams
from tasks.earth.raster import open_asset
from tests.fixtures.rasters import UTM33, write

PLACE = from_origin(499_200, 5_824_000, 10, 10)


def catalog(folder: Path) -> Catalog:
    (folder / "catalog.json").write_text('{"type": "Catalog", "id": "own", "stac_version": "1.0.0", "links": []}')
    own = {"url": str(folder), "collections": {}, "labels": [], "sign": "none", "requests_per_second": 100}
    return Catalog("own", CatalogParams.model_validate(own))


def refused(folder: Path, name: str) -> SceneError:
    asset = Asset("S", "red", f"folder:{name}")
    with pytest.raises(SceneError, match="scene S, asset red") as caught, open_asset(asset, catalog(folder)):
        pass
    return caught.value


@pytest.mark.parametrize("name", ["scene.tif", "scene.jp2", "scene.vrt"])
def test_a_file_that_points_at_other_files_is_no_raster_whatever_its_name(tmp_path: Path, name: str) -> None:
    secret = write(tmp_path / "secret.tif", np.full((8, 8), 7, np.uint16), PLACE, crs=UTM33)
    source = (
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="UInt16" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    (tmp_path / name).write_text(source)
    error = refused(tmp_path, name)
    assert error.reason == "not-a-raster" and "secret" not in str(error)


@pytest.mark.parametrize("content", [b"", b"<html>502</html>", b"II*\0" + bytes(60), b"\0" * 5000])
def test_bytes_that_are_no_image_cost_their_scene(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    assert refused(tmp_path, "a.tif").reason in ("not-a-raster", "unreadable")


def test_a_small_file_that_unfolds_to_gigabytes_in_one_block_is_refused_before_they_are_taken(tmp_path: Path) -> None:
    path, side = tmp_path / "bomb.tif", 59_904
    shape = {"driver": "GTiff", "width": side, "height": side, "count": 1, "dtype": "uint8", "crs": UTM33}
    blocks = {"tiled": True, "blockxsize": side, "blockysize": side, "compress": "deflate", "sparse_ok": True}
    with rasterio.open(path, "w", **shape, **blocks, transform=PLACE):
        pass
    assert os.path.getsize(path) < 2_000_000
    error = refused(tmp_path, "bomb.tif")
    assert error.reason == "too-large" and "3588 MB" in str(error)


@pytest.mark.parametrize(("name", "driver"), [("a.jp2", "GTiff"), ("a.tif", "JP2OpenJPEG")])
def test_a_file_is_opened_by_its_content_and_not_by_its_name(tmp_path: Path, name: str, driver: str) -> None:
    shape = {"width": 64, "height": 64, "count": 1, "dtype": "uint16", "crs": UTM33, "transform": PLACE}
    lossless = {"QUALITY": "100", "REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {}
    values = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    # Written under its own name, for GDAL would put the place of a JPEG 2000 beside a file called otherwise.
    written = tmp_path / ("made.jp2" if driver == "JP2OpenJPEG" else "made.tif")
    with rasterio.open(written, "w", driver=driver, **shape, **lossless) as out:
        out.write(values)
    written.rename(tmp_path / name)
    with open_asset(Asset("S", "red", f"folder:{name}"), catalog(tmp_path)) as opened:
        assert np.array_equal(opened.dataset.read(), values)
