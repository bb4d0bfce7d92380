"""What identifies an image: a digest of each band's pixels, and perceptual hashes that survive re-encoding.

The perceptual hash is pHash (Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010): signs
of the lowest frequencies of a cosine transform of the luminance. Two are kept. The one of 8 x 8 frequencies is searched
by; the one of 16 x 16 confirms, since signs of 64 low frequencies alone agree by chance on open sea and fields. Turning
or mirroring an image only transposes its frequencies and flips signs of odd ones, so all eight positions cost one
transform.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from tasks.earth.display_sensors import TRUE_COLOURS

SIDE = 64
"""Of the reduced luminance, in pixels: four times the highest frequency that is kept, as in the original (32 for 8)."""
FINE = 16
COARSE = 8
ORIENTATIONS = 8
FLAT = 1e-3
"""Standard deviation of the reduced luminance, as a share of its mean, under which there is nothing to recognise."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""ITU-R BT.601, red, green, blue."""

Words = NDArray[np.uint64]


def digests(pixels: NDArray[np.generic]) -> list[bytes]:
    """One digest of each band of [bands, height, width] pixels; bands of one value have none, they are not evidence.

    Bands are compared as float32, each by itself: the same picture stored losslessly in another format, in another
    order of channels, as grey, with an alpha channel, or as three bands out of twelve still shares a digest.
    """
    found = []
    for band in pixels:
        # A negative zero is the zero it equals, and every NaN is the same nothing.
        values = np.where(np.isnan(band), np.float32("nan"), band + 0).astype("<f4")
        if np.nanmin(values, initial=np.inf) < np.nanmax(values, initial=-np.inf):
            found.append(hashlib.blake2b(repr(values.shape).encode() + values.tobytes(), digest_size=16).digest())
    return found


def luminance(pixels: NDArray[np.generic], bands: Sequence[str] = ()) -> NDArray[np.float32]:
    """Reduced luminance [SIDE, SIDE] of [bands, height, width] pixels; missing pixels become the mean of the others.

    True colour is weighted as the eye weighs it, by the names of the bands or as the first three; other images, such as
    radar, are shown by their first band.
    """
    names = list(bands)
    chosen = next((colours for colours in TRUE_COLOURS if set(colours) <= set(names)), None)
    if chosen:
        planes = np.stack([pixels[names.index(name)] for name in chosen])
    else:
        planes = pixels[:3] if len(pixels) >= 3 else pixels[:1]
    weights = LUMA if len(planes) == 3 else np.ones(1, np.float32)
    grey = np.tensordot(weights, planes.astype(np.float32), 1)
    finite = np.isfinite(grey)
    if not finite.all():
        grey = np.where(finite, grey, grey[finite].mean() if finite.any() else 0)
    return _reduced(_reduced(grey).T).T.astype(np.float32)


def _reduced(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows averaged to SIDE rows, each over its exact share of the image; fewer rows are interpolated."""
    height = len(grey)
    edges = np.linspace(0, height, SIDE + 1)
    # Cumulative sums in float64: differences of float32 sums over a whole image would lose the last digits.
    total = np.vstack([np.zeros((1, grey.shape[1])), np.cumsum(grey, axis=0, dtype=np.float64)])
    whole = np.minimum(edges.astype(int), height - 1)
    at_edges = total[whole] + (edges - whole)[:, None] * grey[whole]
    mean: NDArray[np.float32] = (np.diff(at_edges, axis=0) * (SIDE / height)).astype(np.float32)
    return mean


def flat(reduced: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of [n, SIDE, SIDE] luminances have nothing to recognise, (n,)."""
    level = np.abs(reduced).mean((1, 2))
    return np.asarray(reduced.std((1, 2)) <= FLAT * np.maximum(level, np.finfo(np.float32).tiny))


def frequencies(reduced: NDArray[np.float32]) -> NDArray[np.float32]:
    """The lowest [n, FINE, FINE] frequencies of [n, SIDE, SIDE] luminances."""
    return np.asarray(dctn(reduced, axes=(1, 2), norm="ortho")[:, :FINE, :FINE], dtype=np.float32)


def perceptual(low: NDArray[np.float32]) -> tuple[Words, Words]:
    """The coarse hashes, (n,), and the fine ones, (n, 4), of frequencies [n, FINE, FINE].

    A bit tells whether a frequency is positive, as the median of these frequencies is close to 0; a sign is unchanged
    by brightness and contrast. The mean of the image has no say: its bit is always 0.
    """
    bits = low > 0
    bits[:, 0, 0] = False
    coarse = bits[:, :COARSE, :COARSE].reshape(len(low), -1)
    return _words(coarse)[:, 0], _words(bits.reshape(len(low), -1))


def oriented(low: NDArray[np.float32]) -> NDArray[np.float32]:
    """The frequencies [n, ORIENTATIONS, FINE, FINE] of every image turned and mirrored in all eight ways; the first is
    as it was."""
    odd = np.where(np.arange(FINE) % 2, -1, 1).astype(np.float32)
    out = []
    # Mirroring flips the sign of odd frequencies, and a transpose swaps the axes: the eight positions of a square.
    for base in (low, low.transpose(0, 2, 1)):
        out += [base, base * odd, base * odd[:, None], base * odd * odd[:, None]]
    return np.stack(out, axis=1)


def _words(bits: NDArray[np.bool_]) -> Words:
    """Bits (n, 64 k) packed as (n, k) words."""
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64)
