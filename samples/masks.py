"""The derived masks: an SCL-coded one for Sentinel-2; Landsat 8's BQA as QA_PIXEL of Collection 2."""

from __future__ import annotations

import warnings

import numpy as np
from cog import Raster
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.transform import from_origin
from rasterio.warp import reproject
from ukis_csmask.mask import CSmask

DETECTOR = {"ukis-csmask": "1.0.0"}
DETECTOR_BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
DETECTOR_RESOLUTION = 30.0
DETECTOR_TILE = 256

NODATA, SHADOW, CLEAR, WATER, CLOUD, SNOW = 0, 3, 5, 6, 9, 11
CLOUD_CLASSES = (8, 9, 10)

SWIR_WATER, NIR_WATER = 0.05, 0.15
"""Water has swir16 and nir reflectances below these,"""
NDWI_WATER, NIR_DARK = 0.1, 0.05
"""and McFeeters' NDWI (green, nir) above the first, or nir below the second: dark lakes reflect no green."""
NDSI_SNOW = 0.42
"""NDSI (green, swir16) above which a pixel is snow."""
BLUE_SNOW = 0.18
"""and blue reflectance above which it may be (Sen2Cor's second snow test)."""
NIR_SNOW = 0.11
"""and nir reflectance above which it may be; below it the pixel is water."""
SHARE_SNOW = 0.01
"""A scene with less than this share of such pixels has no snow: in these scenes they are surf and roofs."""

SCL_DESCRIPTION = (
    "DERIVED mask in the coding of the Scene Classification Layer, not ESA's. 9 cloud and 3 cloud shadow: "
    "found by ukis-csmask 1.0.0 (6 bands, resampled to 30 m, brought back to 20 m by nearest neighbour). "
    f"11 snow: NDSI > {NDSI_SNOW}, blue > {BLUE_SNOW} and nir > {NIR_SNOW}, before cloud, only where "
    f"at least {SHARE_SNOW:.0%} of the scene passes. 6 water: swir16 < {SWIR_WATER}, nir < {NIR_WATER} and "
    f"(NDWI > {NDWI_WATER:g} or nir < {NIR_DARK}), where neither cloud, shadow nor snow. 5: every other "
    "valid pixel, vegetated or not. 0: nodata. 1, 2, 4, 7, 8 and 10 are never set. Not checked against "
    "reference masks."
)
QA_DESCRIPTION = (
    "Landsat 8's own pre-Collection BQA band, translated bit by bit into the layout of Collection 2's "
    "QA_PIXEL: fill, cloud, cirrus and snow with their confidences; clear where the cloud bit is not set; "
    "water only where BQA says 67-100 % (it never does here: its 34-66 % lies on forest). BQA has no dilated "
    "cloud and no cloud shadow: those bits are 0, and the shadow confidence is 'not set'."
)


def scl(bands: dict[str, Raster], level: str) -> Raster:
    """An SCL-coded mask on the 20 m grid; `bands` are reflectances under Earth Search's names."""
    stack = {name: _to_20m(bands[name]) for name in DETECTOR_BANDS}
    grid = bands["swir16"]
    blue, green, nir, swir = (stack[name] for name in ("blue", "green", "nir", "swir16"))
    found = _clouds_and_shadows(np.stack([stack[name] for name in DETECTOR_BANDS]), grid, level)
    snow = (_ratio(green, swir) > NDSI_SNOW) & (blue > BLUE_SNOW) & (nir > NIR_SNOW)
    wet = (_ratio(green, nir) > NDWI_WATER) | (nir < NIR_DARK)
    code = np.full(grid.pixels.shape, CLEAR, dtype=np.uint8)
    code[wet & (nir < NIR_WATER) & (swir < SWIR_WATER)] = WATER
    code[found == 2] = SHADOW
    code[found == 1] = CLOUD
    if snow.mean() >= SHARE_SNOW:
        code[snow] = SNOW
    code[np.all([layer <= 0 for layer in stack.values()], axis=0)] = NODATA
    return Raster(code, grid.transform, grid.epsg)


def scl_cloud_cover(mask: Raster) -> float:
    """Per cent of the valid pixels that are cloud."""
    valid = mask.pixels != NODATA
    return _per_cent(np.isin(mask.pixels, CLOUD_CLASSES) & valid, valid)


def qa_pixel(bqa: Raster) -> Raster:
    """QA_PIXEL (Collection 2) from BQA (pre-Collection).

    BQA: bit 0 fill; two-bit confidences (1 low, 2 medium, 3 high) of water at 4, snow at 10, cirrus at 12 and
    cloud at 14. QA_PIXEL: 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow, 6 clear, 7 water;
    confidences of cloud at 8, shadow at 10, snow at 12 and cirrus at 14.
    """
    source = bqa.pixels.astype(np.uint16)
    fill = source & 1
    water, snow, cirrus, cloud = ((source >> bit) & 3 for bit in (4, 10, 12, 14))
    high = {2: cirrus == 3, 3: cloud == 3, 5: snow == 3, 6: cloud != 3, 7: water == 3}
    code = np.zeros_like(source)
    for bit, is_set in high.items():
        code |= is_set.astype(np.uint16) << bit
    for bit, confidence in {8: cloud, 12: np.maximum(snow, 1), 14: np.maximum(cirrus, 1)}.items():
        code |= confidence << bit
    return Raster(np.where(fill == 1, 1, code).astype(np.uint16), bqa.transform, bqa.epsg)


def qa_cloud_cover(mask: Raster) -> float:
    """Per cent of the valid pixels whose cloud or cirrus bit is set."""
    valid = (mask.pixels & 1) == 0
    return _per_cent(((mask.pixels >> 2) & 0b11 != 0) & valid, valid)


def _clouds_and_shadows(stack: NDArray[np.float32], grid: Raster, level: str) -> NDArray[np.uint8]:
    """0 clear, 1 cloud, 2 shadow on the 20 m grid."""
    west, south, east, north = grid.bounds
    height, width = (round(side / DETECTOR_RESOLUTION) for side in (north - south, east - west))
    transform = from_origin(west, north, (east - west) / width, (north - south) / height)
    crs = f"EPSG:{grid.epsg}"
    coarse = np.empty((len(stack), height, width), dtype=np.float32)
    reproject(
        stack,
        coarse,
        src_transform=grid.transform,
        src_crs=crs,
        dst_transform=transform,
        dst_crs=crs,
        resampling=Resampling.average,
    )
    detected = _detect(coarse, level)
    fine = np.empty(grid.pixels.shape, dtype=np.uint8)
    reproject(
        detected,
        fine,
        src_transform=transform,
        src_crs=crs,
        dst_transform=grid.transform,
        dst_crs=crs,
        resampling=Resampling.nearest,
    )
    return fine


def _detect(stack: NDArray[np.float32], level: str) -> NDArray[np.uint8]:
    """The detector on an image mirrored outwards to its smallest tile, on one thread so that it repeats."""
    _, height, width = stack.shape
    margins = [(0, 0), *(_margin(side) for side in (height, width))]
    image = np.moveaxis(np.pad(stack, margins, mode="symmetric"), 0, -1).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        mask = CSmask(
            image,
            list(DETECTOR_BANDS),
            level,
            intra_op_num_threads=1,
            inter_op_num_threads=1,
            providers=["CPUExecutionProvider"],
        )
    top, left = margins[1][0], margins[2][0]
    return np.ascontiguousarray(mask.csm[top : top + height, left : left + width, 0])


def _margin(side: int) -> tuple[int, int]:
    missing = max(DETECTOR_TILE - side, 0)
    return missing // 2, missing - missing // 2


def _to_20m(band: Raster) -> NDArray[np.float32]:
    factor = round(20 / band.resolution)
    rows, columns = (side // factor for side in band.pixels.shape)
    return band.pixels.reshape(rows, factor, columns, factor).mean(axis=(1, 3), dtype=np.float32)


def _ratio(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return (first - second) / np.maximum(first + second, 1e-6)


def _per_cent(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float:
    return round(100 * float(part.sum()) / max(int(whole.sum()), 1), 3)
