"""`samples/images/scene.tif`, the image of the README's first command: one Sentinel-2 scene of the samples in one file.

    python -m samples.image

All bands on the grid of 10 m, those of 20 and 60 m by repetition, with names, scale and date as a careful producer
writes them, so that nothing has to be said beside it.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning

from tasks.earth.sensors import SENSORS

HERE = Path(__file__).parent
SCENE = "S2A_MSIL2A_20170613T101031_87_48"
OUT = HERE / "images" / "scene.tif"
SIDE = 120


def main() -> None:
    """Write the file."""
    sensor = SENSORS["sentinel-2"]
    planes, names, profile = [], [], {}
    for band in sensor.bands:
        path = HERE / "assets" / "sentinel-2-l2a" / SCENE / f"{band.common_name}.tif"
        if path.is_file():
            with rasterio.open(path, driver="GTiff") as dataset:
                pixels = dataset.read(1)
                if len(pixels) == SIDE:
                    profile = {"crs": dataset.crs, "transform": dataset.transform, "nodata": dataset.nodata}
            times = SIDE // len(pixels)
            planes.append(pixels.repeat(times, axis=0).repeat(times, axis=1))
            names.append(band.name)
    OUT.parent.mkdir(exist_ok=True)
    shape = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": len(planes), "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            OUT, "w", **shape, **profile, compress="deflate", predictor=2, zlevel=9, interleave="band", blockysize=SIDE
        ) as dataset:
            dataset.write(np.stack(planes))
            dataset.descriptions = names
            dataset.scales = [1e-4] * len(planes)
            dataset.update_tags(ACQUISITION_DATE="2017-06-13T10:10:31Z")
    print(json.dumps({"file": str(OUT.relative_to(HERE.parent)), "bands": names, "bytes": OUT.stat().st_size}))


if __name__ == "__main__":
    main()
