"""Quality masks: what each pixel of Sentinel-2's SCL, Landsat's QA_PIXEL and Planet's UDM2 says, as flags."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.earth.sensors import Mask

PLANES = ("cloud", "shadow", "cirrus", "snow", "water")
"""What is measured of every window; a mask that cannot tell one of them leaves it unmeasured."""

FLAGS: Mapping[str, int] = {name: 1 << bit for bit, name in enumerate(PLANES)}
"""What is said of a pixel, as bits of one byte."""
DATA = 1 << len(PLANES)
"""The bit of pixels that hold data at all."""

SCL: Mapping[str, tuple[int, ...]] = {
    "cloud": (8, 9, 10),
    "shadow": (3,),
    "cirrus": (10,),
    "snow": (11,),
    "water": (6,),
}
"""Classes of Sen2Cor's scene classification; thin cirrus counts as cloud as well."""
SCL_NODATA = (0, 1)
"""No data, and saturated or defective."""

QA_PIXEL: Mapping[str, int] = {"cloud": 3, "shadow": 4, "cirrus": 2, "snow": 5, "water": 7}
"""Bits of Collection 2's QA_PIXEL (bit 1, dilated cloud, counts as cloud too)."""
QA_FILL = 0
QA_DILATED = 1

UDM2 = ("clear", "snow", "shadow", "haze_light", "haze_heavy", "cloud", "confidence", "udm1")
"""Bands of Planet's usable data mask, by their names in the file: six classes of 0 and 1, of which one holds, how sure
it is, and the older mask, whose bit 0 is fill."""
UDM2_CLASSES = 6
SEVERAL_BANDS = ("udm2",)
"""Layouts whose masks are several bands of one file."""


def bands_of(layout: Mask, count: int) -> tuple[tuple[int, str], ...]:
    """The bands of a mask's file of `count` bands that are read, each with its name in the file; one has none.

    Raises:
        ValueError: the file has too few.
    """
    if layout not in SEVERAL_BANDS:
        return ((1, ""),)
    if count < UDM2_CLASSES:
        raise ValueError(f"a mask of the layout udm2 has {UDM2_CLASSES} bands ({', '.join(UDM2[:6])}), it has {count}")
    return tuple(enumerate(UDM2, 1))[:count]


def planes_of(layout: Mask) -> tuple[str, ...]:
    """Those of `PLANES` that a mask of that layout holds."""
    return ("cloud", "shadow", "snow") if layout == "udm2" else PLANES


def flags(values: NDArray[Any], layout: Mask) -> NDArray[np.uint8]:
    """What each pixel of a mask says, [height, width]: bits of `FLAGS`, and `DATA`; 0 where it holds no data.

    Args:
        values: codes, [height, width]; of a layout of several bands [bands, height, width].
        layout: of the mask.
    """
    if layout == "udm2":
        return _udm2(values)
    table = _table(layout)
    if values.dtype == np.uint8:  # numpy would make an index of eight bytes of each
        return np.frombuffer(values.tobytes().translate(table[:256].tobytes()), np.uint8).reshape(values.shape)
    if values.dtype.kind not in "iu":  # codes are whole numbers, whatever type a file has them in
        values = values.astype(np.int64)
    return table.take(values, mode="clip")


def flags_of(found: Mapping[str, NDArray[np.bool_]], data: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Boolean planes by name, and which pixels hold data, as flags; nothing is said of those that hold none."""
    out = np.full(data.shape, DATA, np.uint8)
    for name, plane in found.items():
        out |= plane.astype(np.uint8) * np.uint8(FLAGS[name])
    return out * data


def planes(values: NDArray[Any], layout: Mask) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """The same as boolean planes by name, and which pixels hold data at all."""
    found = flags(values, layout)
    return {name: (found & FLAGS[name]) > 0 for name in planes_of(layout)}, (found & DATA) > 0


@cache
def _table(layout: Mask) -> NDArray[np.uint8]:
    """The flags of each code there is."""
    if layout == "scl":
        codes = np.arange(256)
        # Saturated pixels (class 1) are no measurement, though there are numbers.
        return flags_of({name: np.isin(codes, own) for name, own in SCL.items()}, ~np.isin(codes, SCL_NODATA))
    codes = np.arange(1 << 16)
    found = {name: _bit(codes, bit) for name, bit in QA_PIXEL.items()}
    # Cirrus dims the visible bands and dilation catches the edges: both are as bad in a caption as cloud.
    found["cloud"] |= _bit(codes, QA_DILATED) | found["cirrus"]
    return flags_of(found, ~_bit(codes, QA_FILL))


def _udm2(values: NDArray[Any]) -> NDArray[np.uint8]:
    held = dict(zip(UDM2, values, strict=False))
    classes = {name: held[name] == 1 for name in UDM2[:UDM2_CLASSES]}
    data = np.logical_or.reduce(list(classes.values()))
    if "udm1" in held:
        data &= ~_bit(held["udm1"], 0)
    # Through light haze the ground is seen, and Planet counts it as usable; cirrus and water it does not tell.
    cloud = classes["cloud"] | classes["haze_heavy"]
    return flags_of({"cloud": cloud, "shadow": classes["shadow"], "snow": classes["snow"]}, data)


def _bit(values: NDArray[Any], bit: int) -> NDArray[np.bool_]:
    return (values.astype(np.int64) >> bit & 1).astype(bool)
