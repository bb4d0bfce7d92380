"""Cloud in images that have no mask: 8-bit renderings, aerial photographs, pictures of drones.

EarthDial drops images by luminance and coverage, with thresholds that it does not publish. Here a pixel is cloud if it
is bright, almost without colour, and part of a bright patch that is larger than roofs are.

What it cannot tell: snow, ice, bright sand, salt, chalk, surf and greenhouses are bright and grey as well, and are
called cloud; thin cloud and haze are neither, and are not. It knows nothing of shadow, cirrus, snow or water, and
leaves them unmeasured. On the sample's thin, broken cloud it finds a third of what the masks have, on thick cloud three
quarters, and calls 2 % of clear pixels cloud, most of them snow: `python -m benchmarks.luminance`.
"""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from tasks.core.section import Section

WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Of red, green and blue in luminance (Rec. 709)."""


Planes = tuple[dict[str, NDArray[np.bool_]], NDArray[np.bool_]]
"""What is known of an image, by name, and which pixels hold data."""


class LuminanceParams(Section):
    """`scan.luminance:` in params.yaml."""

    bright: float = Field(105, ge=0, le=255, description="luminance from which a pixel may be cloud, of 255")
    grey: float = Field(
        0.2, ge=0, le=1, description="most colour of cloud: (largest - smallest) / largest of red, green and blue"
    )
    smallest: float = Field(
        60, ge=0, description="metres; a bright patch that is narrower is a roof or a boat, not a cloud"
    )
    fill: list[int] = Field([0], description="numbers that stand for no data where all three bands have them")


def planes(
    red: NDArray[np.integer],
    green: NDArray[np.integer],
    blue: NDArray[np.integer],
    gsd: float,
    params: LuminanceParams,
) -> Planes:
    """What is known of an image without a mask, as `tasks.earth.masks.planes` has it of masks.

    Args:
        red, green, blue: display values of 0 to 255, [height, width].
        gsd: metres a pixel.
        params: thresholds.

    Returns:
        The plane `cloud`, and which pixels hold data at all; the coverage of an image is their share.
    """
    data = ~np.logical_or.reduce([(red == fill) & (green == fill) & (blue == fill) for fill in params.fill])
    return {"cloud": cloud(red, green, blue, gsd, params) & data}, data


def margin(gsd: float, params: LuminanceParams) -> int:
    """Pixels around an image that decide on those at its edge."""
    return max(1, round(params.smallest / gsd)) - 1


def cloud(
    red: NDArray[np.integer],
    green: NDArray[np.integer],
    blue: NDArray[np.integer],
    gsd: float,
    params: LuminanceParams,
) -> NDArray[np.bool_]:
    """Which pixels are bright, grey and part of a patch at least `smallest` metres wide; see the head of this page."""
    bands = np.stack([red, green, blue]).astype(np.float32)
    luminance = np.tensordot(np.asarray(WEIGHTS, dtype=np.float32), bands, axes=1)
    largest = bands.max(axis=0)
    # Multiplied out, so that black needs no case of its own.
    found = (luminance >= params.bright) & (largest - bands.min(axis=0) <= params.grey * largest)
    side = margin(gsd, params) + 1
    if side > 1:
        # An opening with a square, one axis after the other: of a patch stays what such a square fits into. Beyond the
        # edge of the image the patch may go on.
        from scipy.ndimage import maximum_filter1d, minimum_filter1d  # here, for it takes 0.2 s of every start

        square = found.astype(np.uint8)
        for filter_, origin in ((minimum_filter1d, 0), (maximum_filter1d, -1 if side % 2 == 0 else 0)):
            for axis in (0, 1):
                square = filter_(square, side, axis=axis, mode="nearest", origin=origin)
        found &= square.astype(bool)
    return np.asarray(found)
