import numpy as np
import pytest

from tasks.evaluation.leakage.hamming import MAX_RADIUS, HashIndex


def planted(rng, entries, queries, most):
    """Hashes, and queries a few of which are hashes with up to `most` bits flipped."""
    hashes = rng.integers(0, 2**64, entries, dtype=np.uint64)
    asked = rng.integers(0, 2**64, queries, dtype=np.uint64)
    for number in range(queries // 3):
        flips = rng.choice(64, rng.integers(0, most + 1), replace=False)
        mask = np.bitwise_or.reduce(np.uint64(1) << flips.astype(np.uint64)) if len(flips) else np.uint64(0)
        asked[number] = hashes[number % entries] ^ mask
    return hashes, asked


@pytest.mark.parametrize("radius", [0, 3, 4, 7, 8, MAX_RADIUS])
def test_the_tables_find_exactly_what_comparing_every_pair_finds(radius):
    hashes, asked = planted(np.random.default_rng(radius), 700, 900, radius + 3)
    every = np.bitwise_count(asked[:, None] ^ hashes)
    query, entry, distance = HashIndex(hashes).within(asked, radius)
    assert np.argwhere(every <= radius).tolist() == np.column_stack([query, entry]).tolist()
    assert (every[query, entry] == distance).all()


def test_equal_hashes_in_great_number_are_all_found():
    query, entry, distance = HashIndex(np.zeros(3000, np.uint64)).within(np.zeros(2000, np.uint64), 7)
    assert len(query) == 6_000_000 and (distance == 0).all() and entry.max() == 2999


def test_an_empty_index_and_an_empty_question_find_nothing():
    assert len(HashIndex(np.empty(0, np.uint64)).within(np.ones(3, np.uint64), 7)[0]) == 0
    assert len(HashIndex(np.ones(3, np.uint64)).within(np.empty(0, np.uint64), 7)[0]) == 0


def test_a_radius_beyond_the_tables_is_refused():
    with pytest.raises(ValueError, match="0 to 11"):
        HashIndex(np.ones(3, np.uint64)).within(np.ones(3, np.uint64), 12)
