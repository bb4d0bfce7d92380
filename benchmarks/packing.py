"""Packing: samples a second and how full the packs are, beside a greedy knapsack in the way of nanoVLM.

    python -m benchmarks.packing [--samples 500000]

nanoVLM (Hugging Face) packs a queue of samples by a greedy knapsack: it takes as many packs as the queue's tokens
would fill plus a little slack, sorts the samples by length, and puts each into the pack that is least full; the packs
are shuffled. Written here from that description, in plain Python as there, with our limit on band groups added.
"""

import argparse
import heapq
import time
from collections.abc import Callable

import numpy as np

from tasks.training.packing import Ints, pack

LENGTH, GROUPS = 4096, 64
TILE_TOKENS = 256
TILES, SHARES = (1, 3, 5, 7), (0.60, 0.10, 0.22, 0.08)
"""Tiles of an image of up to 600 pixels, of 1920 x 1080, of 1024 x 1024, and the most, thumbnails included."""
QUEUE, SLACK = 4096, 1.02


def realistic(count: int, multispectral: float = 0.0, seed: int = 0) -> tuple[Ints, Ints]:
    """(tokens, band groups) of samples: 256 to 1792 visual tokens, and 3.8 to 5.1 pairs of some 40 tokens an image.

    Args:
        count: samples.
        multispectral: share of them with 12 bands, which are four groups.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    tiles = random.choice(TILES, count, p=SHARES)
    pairs = np.maximum(1, random.poisson(4.8, count))
    text = 42 + (pairs * np.clip(random.normal(38, 9, count), 12, 80)).astype(np.int64)
    groups = np.where(random.random(count) < multispectral, 4, 1)
    return tiles * TILE_TOKENS + text, tiles * groups


def best_fit(indices: Ints, lengths: Ints, groups: Ints) -> int:
    """Ours; the number of packs."""
    return len(pack(indices, lengths, groups, LENGTH, GROUPS, [0]))


def knapsack(indices: Ints, lengths: Ints, groups: Ints) -> int:
    """nanoVLM's way; the number of packs."""
    count = 0
    for start in range(0, len(indices), QUEUE):
        queue = [(int(lengths[index]), int(groups[index]), int(index)) for index in indices[start : start + QUEUE]]
        packs = int(sum(length for length, _, _ in queue) / LENGTH * SLACK)
        heap = [(0, number, 0) for number in range(max(1, packs))]
        contents: list[list[int]] = [[] for _ in heap]
        for length, bands, index in sorted(queue, reverse=True):
            used, number, held = heap[0]
            if used + length > LENGTH or held + bands > GROUPS:
                contents.append([index])
                heapq.heappush(heap, (length, len(contents) - 1, bands))
            else:
                contents[number].append(index)
                heapq.heapreplace(heap, (used + length, number, held + bands))
        count += sum(1 for content in contents if content)
    return count


def time_packer(packer: Callable[[Ints, Ints, Ints], int], lengths: Ints, groups: Ints) -> tuple[float, float]:
    """(samples a second, fill)."""
    indices = np.random.default_rng(1).permutation(len(lengths))
    began = time.perf_counter()
    count = packer(indices, lengths, groups)
    return len(lengths) / (time.perf_counter() - began), float(lengths.sum() / (count * LENGTH))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=500_000)
    count = parser.parse_args().samples
    print(f"{count} samples into packs of {LENGTH} tokens and {GROUPS} band groups, one process")
    print(f"{'12-band':>8} {'best fit':>24} {'greedy knapsack':>24} {'ratio':>6}")
    for share in (0.0, 0.3, 1.0):
        lengths, groups = realistic(count, share)
        ours, fill = time_packer(best_fit, lengths, groups)
        theirs, peer_fill = time_packer(knapsack, lengths, groups)
        columns = f"{ours:>13,.0f}/s {fill:.4f} {theirs:>16,.0f}/s {peer_fill:.4f} {ours / theirs:>6.1f}"
        print(f"{share:>8.0%} {columns}")


if __name__ == "__main__":
    main()
