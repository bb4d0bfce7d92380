"""A Sentinel-1 GRD read with its ground control points, beside GDAL's reprojection with them and the bare array.

    python -m benchmarks.gcp_reprojection FILE.tiff [--gsd 400] [--picture FILE.png]

Prints the share of the box that has data, where the two agree that there is none, the correlation of the logarithm of
counts, and CPU-seconds of both (the peer is `rasterio.warp.reproject`, thin plate splines, bilinear).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject

from tasks.earth.assets import Asset
from tasks.earth.geolocation import geolocation
from tasks.earth.raster import OpenAsset, TargetGrid, read_onto
from tasks.pages import png


def shown(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Counts in dB as grey, [height, width, 4]; transparent where there are none."""
    decibel = 20 * np.log10(np.where(values > 0, values, np.nan))
    low, high = np.nanpercentile(decibel, [2, 98])
    grey = (np.nan_to_num(np.clip((decibel - low) / (high - low), 0, 1)) * 255).astype(np.uint8)
    opaque = np.where(np.isfinite(decibel), 255, 0).astype(np.uint8)
    return np.stack([grey, grey, grey, opaque], axis=-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--gsd", type=float, default=400.0, help="metres")
    parser.add_argument("--picture", type=Path, help="ours, the reprojection, and the array as it is stored")
    given = parser.parse_args()
    with rasterio.open(given.file) as dataset:
        place = geolocation(dataset, str(given.file))
        zone = max(place.zones, key=lambda epsg: place.bounds_in(epsg).right - place.bounds_in(epsg).left)
        box = place.bounds_in(zone)
        width, height = int((box.right - box.left) / given.gsd), int((box.top - box.bottom) / given.gsd)
        opened = OpenAsset(Asset("scene", "band", str(given.file), fill=0), dataset, str(given.file), place, 1)
        begun = time.process_time()
        values, valid = read_onto(opened, TargetGrid(zone, box.left, box.top, given.gsd, width, height))
        ours_cpu = time.process_time() - begun
        stored = dataset.read(1).astype(np.float32)
        stored[stored == 0] = np.nan
        points, crs = dataset.gcps
    theirs = np.full((height, width), np.nan, np.float32)
    begun = time.process_time()
    reproject(
        stored, theirs, gcps=points, src_crs=crs, dst_crs=f"EPSG:{zone}", src_nodata=np.nan, dst_nodata=np.nan,
        dst_transform=from_origin(box.left, box.top, given.gsd, given.gsd), resampling=Resampling.bilinear,
        SRC_METHOD="GCP_TPS",
    )  # fmt: skip
    theirs_cpu = time.process_time() - begun
    ours = np.where(valid, values, np.nan).astype(np.float32)
    both = valid & np.isfinite(theirs)
    print(f"{len(points)} points, EPSG:{zone}, {width} x {height} pixels of {given.gsd:g} m")
    print(f"data in {valid.mean():.1%} of the box; the reprojection has it in {np.isfinite(theirs).mean():.1%}")
    print(f"agree on where there is data: {(valid == np.isfinite(theirs)).mean():.3%} of the pixels")
    correlation = np.corrcoef(np.log(ours[both] + 1), np.log(theirs[both] + 1))[0, 1]
    print(f"correlation of the logarithm of counts: {correlation:.4f}")
    print(f"CPU-seconds: {ours_cpu:.2f}, of the reprojection {theirs_cpu:.2f}, ratio {ours_cpu / theirs_cpu:.2f}")
    if given.picture:
        height = max(ours.shape[0], stored.shape[0])
        panels = [np.pad(shown(one), ((0, height - one.shape[0]), (4, 4), (0, 0))) for one in (ours, theirs, stored)]
        given.picture.write_bytes(png.encode(np.concatenate(panels, axis=1)))


if __name__ == "__main__":
    main()
