"""Perceptual hashes of 1,000,000 training images against 10,000 of a benchmark in eight positions each.

`python -m benchmarks.leakage_search` prints the seconds of the tables, those of comparing every pair (measured on a
share of the queries, listed as such), and their ratio. With `--texts` also texts a second through the MinHash index.
"""

import random
import sys
import time

import numpy as np

from tasks.evaluation.leakage.check import COARSE
from tasks.evaluation.leakage.hamming import HashIndex
from tasks.evaluation.leakage.minhash import TextIndex
from tasks.evaluation.leakage.perceptual_hash import ORIENTATIONS

TRAINING, BENCHMARK = 1_000_000, 10_000
SHARE = 500
"""One query in so many is compared with every entry."""


def images() -> None:
    rng = np.random.default_rng(0)
    entries = rng.integers(0, 2**64, BENCHMARK * ORIENTATIONS, dtype=np.uint64)
    queries = rng.integers(0, 2**64, TRAINING, dtype=np.uint64)
    start = time.perf_counter()
    index = HashIndex(entries)
    found = sum(len(index.within(queries[at : at + 4096], COARSE)[0]) for at in range(0, TRAINING, 4096))
    tables = time.perf_counter() - start
    some = queries[::SHARE]
    start = time.perf_counter()
    compared = sum(int((np.bitwise_count(query ^ entries) <= COARSE).sum()) for query in some)
    every = (time.perf_counter() - start) * SHARE
    print(f"{TRAINING:,} x {BENCHMARK:,} images in {ORIENTATIONS} positions, radius {COARSE}: {found} pairs")
    print(f"tables {tables:.1f} s; every pair {every:.0f} s (from one query in {SHARE}, {compared} pairs)")
    print(f"ratio {every / tables:.1f}")


def texts() -> None:
    rng = random.Random(0)
    words = [f"word{number}" for number in range(5000)]
    texts = [" ".join(rng.choices(words, k=14)) for _ in range(30_000)]
    index = TextIndex(texts[:10_000])
    start = time.perf_counter()
    for at in range(10_000, 30_000, 4096):
        index.within(texts[at : at + 4096])
    print(f"texts: {20_000 / (time.perf_counter() - start):,.0f} a second against 10,000")


if __name__ == "__main__":
    images()
    if "--texts" in sys.argv:
        texts()
