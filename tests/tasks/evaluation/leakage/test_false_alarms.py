"""How often unrelated images look alike, measured on the sample scenes."""

import numpy as np

from tasks.evaluation.leakage import perceptual_hash
from tasks.evaluation.leakage.check import COARSE, FINE
from tests.tasks.evaluation.leakage.sides import chips


def distances(side):
    """Bits between every two chips that do not overlap, in all eight positions of one of them, (comparisons,) each."""
    pictures = chips(side)
    low = perceptual_hash.frequencies(np.stack([perceptual_hash.luminance(picture) for picture in pictures]))
    coarse, fine = perceptual_hash.perceptual(low)
    turned = perceptual_hash.oriented(low).reshape(-1, perceptual_hash.FINE, perceptual_hash.FINE)
    other_coarse, other_fine = perceptual_hash.perceptual(turned)
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
