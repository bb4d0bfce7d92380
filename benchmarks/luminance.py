"""How often the cloud filter by luminance errs: `python -m benchmarks.luminance [FOLDER]`.

The scenes of the sample that have a mask are rendered to 8 bits as ESA renders its true-colour images (reflectance 0 to
0.3558), and what `tasks.earth.luminance` finds is compared with the mask's cloud, pixel by pixel and by windows: a
window with more than 10 % cloud would be dropped. FOLDER is another one, laid out as the sample's.
The table is first with the default thresholds, then with others, so that a choice can be seen.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pystac
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from tasks.earth import masks
from tasks.earth.luminance import LuminanceParams, planes
from tasks.earth.sensors import SENSORS, Sensor

WHITE = 0.3558
"""Reflectance that is shown as 255."""
WINDOW = 640
"""Metres a side of a window."""
MAX_CLOUD = 0.10


@dataclass
class Scene:
    """A rendering with the truth about it."""

    name: str
    shown: NDArray[np.uint8]
    gsd: float
    truth: NDArray[np.bool_]
    data: NDArray[np.bool_]


def scenes(folder: Path) -> Iterator[Scene]:
    for path in sorted(folder.glob("catalog/items/**/*.json")):
        item = pystac.Item.from_file(path)
        sensor = next((one for one in SENSORS.values() if one.mask and _key(item, one.mask_aliases)), None)
        if sensor is None or sensor.rgb is None:
            continue
        yield _scene(item, sensor, folder)


def _scene(item: pystac.Item, sensor: Sensor, folder: Path) -> Scene:
    shown = []
    for name in sensor.rgb or ():
        key = _key(item, sensor.band(name).aliases)
        assert key
        described = item.assets[key].extra_fields["raster:bands"][0]
        with rasterio.open(_file(item, key, folder)) as file:
            numbers, gsd, valid = file.read(1), file.res[0], file.read_masks(1) > 0
        reflectance = numbers * described["scale"] + described["offset"]
        display = np.clip(np.round(reflectance / WHITE * 255), 1, 255)
        shown.append(np.where(valid & (numbers > 0), display, 0).astype(np.uint8))
    key = _key(item, sensor.mask_aliases)
    assert key and sensor.mask
    with rasterio.open(_file(item, key, folder)) as file:
        codes = file.read(1, out_shape=shown[0].shape, resampling=Resampling.nearest)
    found, data = masks.planes(codes, sensor.mask)
    return Scene(item.id, np.stack(shown), gsd, found["cloud"], data & (shown[0] > 0))


def _key(item: pystac.Item, aliases: tuple[str, ...]) -> str | None:
    return next((alias for alias in aliases if alias in item.assets), None)


def _file(item: pystac.Item, key: str, folder: Path) -> Path:
    name = item.assets[key].href.rpartition("/")[2]
    return next(folder.glob(f"assets/*/{item.id}/{name}"))


def windows(scene: Scene, plane: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of a plane in each window of a scene; of the whole scene where it is smaller than one."""
    side = min(round(WINDOW / scene.gsd), *plane.shape)
    rows, columns = plane.shape[0] // side, plane.shape[1] // side

    def cut(values: NDArray[np.bool_]) -> NDArray[np.float64]:
        square = values[: rows * side, : columns * side].reshape(rows, side, columns, side)
        return np.asarray(square.sum(axis=(1, 3)).ravel(), dtype=float)

    with np.errstate(invalid="ignore"):
        return cut(plane & scene.data) / cut(scene.data)


def row(scene: Scene, params: LuminanceParams) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(true, false, missed, clear) pixels, and windows the same."""
    found = planes(*scene.shown, scene.gsd, params)[0]["cloud"]
    pixels = _counts(found[scene.data], scene.truth[scene.data])
    ours, theirs = windows(scene, found), windows(scene, scene.truth)
    measured = np.isfinite(ours)
    return pixels, _counts(ours[measured] > MAX_CLOUD, theirs[measured] > MAX_CLOUD)


def _counts(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> NDArray[np.int64]:
    pairs = ((found & truth), (found & ~truth), (~found & truth), (~found & ~truth))
    return np.array([pair.sum() for pair in pairs], dtype=np.int64)


def told(counts: NDArray[np.int64]) -> str:
    true, false, missed, clear = counts.tolist()
    cloudy, free = true + missed, false + clear
    found = f"{true / cloudy:6.1%} of {cloudy:>7}" if cloudy else f"{'-':>6} of       0"
    return f"{found}   {false / free:6.1%} of {free:>7}" if free else f"{found}        - of       0"


def main(folder: Path) -> None:
    """Print the tables."""
    made = list(scenes(folder))
    default = LuminanceParams()
    head = f"{'':44} {'cloud found':>17}   {'clear called cloud':>18}"
    print(f"{head}   windows: {'dropped rightly':>15}   {'dropped wrongly':>17}")
    total = []
    for scene in made:
        pixels, decided = row(scene, default)
        total.append((pixels, decided))
        print(f"{scene.name:44} {told(pixels)}   {told(decided):>46}")
    _sums("all, with the default thresholds", total)
    for bright in (75, 90, 105, 120, 150, 200):
        for grey in (0.15, 0.2, 0.3):
            params = LuminanceParams(bright=bright, grey=grey)
            _sums(f"bright {bright}, grey {grey}", [row(scene, params) for scene in made])


def _sums(title: str, rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> None:
    pixels, decided = (np.sum([one[index] for one in rows], axis=0) for index in (0, 1))
    print(f"{title:44} {told(pixels)}   {told(decided):>46}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "samples")
