"""Quality masks: what each pixel of Sentinel-2's SCL, Landsat's QA_PIXEL and Planet's UDM2 says, as boolean planes."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tasks.earth.sensors import Mask

PLANES = ("cloud", "shadow", "cirrus", "snow", "water")
"""What is measured of every window; a mask that cannot tell one of them leaves it unmeasured."""

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


def planes(values: NDArray[np.integer], layout: Mask) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    """Boolean planes by name, and which pixels hold data at all.

    Args:
        values: codes, [height, width]; of a layout of several bands [bands, height, width].
        layout: of the mask.
    """
    if layout == "udm2":
        return _udm2(values)
    if layout == "scl":
        # Saturated pixels (class 1) are no measurement, though there are numbers.
        return {name: np.isin(values, classes) for name, classes in SCL.items()}, ~np.isin(values, SCL_NODATA)
    found = {name: _bit(values, bit) for name, bit in QA_PIXEL.items()}
    # Cirrus dims the visible bands and dilation catches the edges: both are as bad in a caption as cloud.
    found["cloud"] |= _bit(values, QA_DILATED) | found["cirrus"]
    return found, ~_bit(values, QA_FILL)


def _udm2(values: NDArray[np.integer]) -> tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]:
    held = dict(zip(UDM2, values, strict=False))
    classes = {name: held[name] == 1 for name in UDM2[:UDM2_CLASSES]}
    data = np.logical_or.reduce(list(classes.values()))
    if "udm1" in held:
        data &= ~_bit(held["udm1"], 0)
    # Through light haze the ground is seen, and Planet counts it as usable; cirrus and water it does not tell.
    cloud = classes["cloud"] | classes["haze_heavy"]
    return {"cloud": cloud, "shadow": classes["shadow"], "snow": classes["snow"]}, np.asarray(data)


def _bit(values: NDArray[np.integer], bit: int) -> NDArray[np.bool_]:
    return (values.astype(np.int64) >> bit & 1).astype(bool)
