"""Chips as models are shown them: by the roles of bands, the same for the same pixels, the stretch on record."""

import io
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tasks.core.data_url import content_of
from tasks.core.errors import DamagedFileError
from tasks.earth.sensors import SENSORS
from tasks.generators.chip_source import ChipSource
from tasks.generators.renderings import renderings

ROOT = Path(__file__).parents[3]
SENTINEL_2, SENTINEL_1, LANDSAT = (SENSORS[name] for name in ("sentinel-2", "sentinel-1", "landsat"))


def ramps(*bands: str) -> dict[str, NDArray[np.float32]]:
    column = np.linspace(0, 1, 64, dtype=np.float32)
    return {band: np.tile(np.roll(column, 8 * place), (64, 1)) for place, band in enumerate(bands)}


def levels(url: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content_of(url))))


def test_optical_chips_are_shown_in_true_and_false_colour_by_the_roles_of_their_bands() -> None:
    for sensor, red, near in ((SENTINEL_2, "B04", "B08"), (LANDSAT, "B4", "B5")):
        planes = ramps(*sensor.required_bands)
        true, false = renderings(planes, sensor, 2, 448)
        assert true.rendering.startswith(f"true colour ({red} ") and false.rendering.startswith(
            f"false colour ({near} "
        )
        assert levels(true.url).shape == (448, 448, 3) and true.pixels_hash != false.pixels_hash
        assert renderings(planes, sensor, 1, 448) == [true]
        assert renderings(planes, sensor, 0, 448) == []


def test_radar_is_shown_as_both_polarisations_and_their_ratio_whichever_pair_it_is() -> None:
    for pair in (("VV", "VH"), ("HH", "HV")):
        (shown,) = renderings(ramps(*pair), SENTINEL_1, 2, 448)
        assert shown.rendering.startswith(f"radar ({pair[0]} ") and f"{pair[0]}-{pair[1]} " in shown.rendering
    (alone,) = renderings(ramps("VV"), SENTINEL_1, 2, 448)
    grey = levels(alone.url)
    assert alone.rendering.startswith("one band (VV ") and (grey[..., 0] == grey[..., 2]).all()


def test_the_stretch_is_of_the_valid_pixels_and_on_record() -> None:
    planes = ramps("B04", "B03", "B02")
    planes["B04"] = planes["B04"] * 0.2 + 0.1
    planes["B04"][:32] = np.nan
    (shown,) = renderings(planes, SENTINEL_2, 1, 64)
    assert (
        "B04 0.1032 to 0.2968" in shown.rendering and "2 to 98 % of valid pixels; 64 x 64 to 64 x 64" in shown.rendering
    )
    red = levels(shown.url)[..., 0]
    assert (red[:32] == 0).all() and red[32:].min() == 0 and red[32:].max() == 255


def test_a_chip_without_data_or_of_one_value_is_black_and_no_error() -> None:
    for value in (np.nan, 0.25):
        planes = {band: np.full((64, 64), value, np.float32) for band in ("B04", "B03", "B02")}
        (shown,) = renderings(planes, SENTINEL_2, 1, 96)
        assert levels(shown.url).max() == 0


def test_the_same_pixels_give_the_same_picture_and_others_another() -> None:
    planes = ramps("B04", "B03", "B02")
    assert renderings(planes, SENTINEL_2, 1, 448) == renderings(dict(reversed(planes.items())), SENTINEL_2, 1, 448)
    changed = {**planes, "B03": planes["B03"] + np.eye(64, dtype=np.float32)}
    hashes = {renderings(one, SENTINEL_2, 1, 448)[0].pixels_hash for one in (planes, changed)}
    assert len(hashes) == 2


def test_chips_are_found_in_their_shards_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    from tasks.core import tables
    from tasks.earth import chip_schema
    from tasks.earth.chip_pixels import to_geotiff

    def row(number: int) -> dict[str, object]:
        pixels = np.full((2, 8, 8), number, np.float32)
        return {"chip_id": f"chip-{number:02d}", "pixels": to_geotiff(pixels, ["VV", "VH"], 32633, 0.0, 0.0, 10.0)}

    for shard in range(2):
        rows = [row(n) for n in range(40 * shard, 40 * shard + 40)]
        tables.write_rows(rows, chip_schema.SCHEMA, tmp_path / f"shard-{shard:05d}.parquet", group=chip_schema.GROUP)
    source = ChipSource(tmp_path)
    for number in (0, 79, 17, 40):
        planes = source.planes(f"chip-{number:02d}")
        assert list(planes) == ["VV", "VH"] and (planes["VH"] == number).all()
    with pytest.raises(DamagedFileError, match="no shard holds chip other"):
        source.planes("other")
