"""How often unrelated images look alike, measured on the sample scenes."""

import numpy as np

from tasks.leakage import hashes
from tasks.leakage.check import COARSE, FINE
from tests.leakage.sides import chips


def distances(side):
    """Bits between every two chips that do not overlap, in all eight positions of one of them, (comparisons,) each."""
    pictures = chips(side)
    low = hashes.frequencies(np.stack([hashes.luminance(picture) for picture in pictures]))
    coarse, fine = hashes.perceptual(low)
    turned = hashes.oriented(low).reshape(-1, hashes.FINE, hashes.FINE)
    other_coarse, other_fine = hashes.perceptual(turned)
    rows, columns = np.triu_indices(len(pictures), 1)
    pairs = np.repeat(rows, 8), (columns[:, None] * 8 + np.arange(8)).ravel()
    near = np.bitwise_count(coarse[pairs[0]] ^ other_coarse[pairs[1]])
    return near, np.bitwise_count(fine[pairs[0]] ^ other_fine[pairs[1]]).sum(-1)


def test_no_two_different_chips_of_the_sample_scenes_are_taken_for_one():
    near, fine = distances(64)
    assert len(near) > 500_000
    assert not ((near <= COARSE) & (fine <= FINE)).any()


def test_the_finer_hash_alone_keeps_well_clear_of_its_limit():
    _, fine = distances(96)
    assert fine.min() > FINE + 8
