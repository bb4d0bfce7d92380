"""Memory of a training process that holds a large mixture: read from disk as needed, beside a list of objects.

    python -m benchmarks.mixture_memory [--samples 300000] [--reads 20000]

The list is what loaders of such models keep, in every process; ours is an Arrow file that is mapped, whose pages all
processes share and the system takes back. Rows are made up in the form of EarthDial-Instruct's.
"""

import argparse
import gc
import re
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.core import tables
from tasks.dialogue import conversations
from tasks.vlm.samples import SCHEMA, read_samples

MB = 2**20


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Rows of a mixture, one image and one question each."""
    random = np.random.default_rng(0)
    for number in range(count):
        image = {"shard": f"data/imported/satlas-s2/chips/shard-{number // 500:05d}.parquet"}
        image |= {"chip_id": f"satlas-s2-{number:08d}", "sensor": "sentinel-2", "modality": "rgb"}
        image |= {
            "bands": ["B04", "B03", "B02"],
            "width": 512,
            "height": 512,
            "datetime": datetime(2020, 1, 1, tzinfo=UTC),
        }
        words = " ".join(f"word{word}" for word in random.integers(0, 5000, int(random.integers(5, 60))))
        yield {
            "sample_id": f"satlas-s2-{number:08d}#0/rgb",
            "chip_id": image["chip_id"],
            "sensor": "sentinel-2",
            "modality": "rgb",
            "images": [image],
            "conversations": conversations.dump([("<image>\nWhat is in this image?", words)], ["[s2_rgb_10]"]),
            "question_types": ["caption"],
            "repeats": 1,
        }


def anonymous() -> float:
    """Megabytes that belong to this process alone; pages of mapped files do not."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s*(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def main() -> None:
    """Write, read both ways, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=300_000)
    parser.add_argument("--reads", type=int, default=20_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mixture-") as temporary:
        table, copy = Path(temporary) / "train.parquet", Path(temporary) / "train.arrow"
        tables.write_stream(rows(options.samples), SCHEMA, table)
        tables.mapped(table, copy)  # written once, by one process
        before = anonymous()
        mapped = read_samples(table, copy)
        order = np.random.default_rng(1).integers(0, len(mapped), options.reads)
        began = time.perf_counter()
        for number in order:
            mapped[int(number)]
        speed = options.reads / (time.perf_counter() - began)
        ours = max(anonymous() - before, 0.1)
        before = anonymous()
        held = list(mapped)
        theirs = anonymous() - before
        disk, kept = table.stat().st_size / MB, copy.stat().st_size / MB
        print(f"{len(held):,} samples, {disk:.0f} MB of Parquet, {kept:.0f} MB mapped")
        print(f"mapped: {ours:.0f} MB of its own, {speed:,.0f} samples a second in random order")
        whole = theirs / len(held) * 11.1e6 / 1024
        print(f"list:   {theirs:.0f} MB, {theirs / ours:.0f} x as much; {whole:.0f} GB for the 11.1 M of EarthDial")


if __name__ == "__main__":
    main()
