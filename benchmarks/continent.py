"""No speed: what a dataset of millions of chips costs on one cloud, by a simulation with figures that were measured.

    python -m benchmarks.continent [--chips 10000000] [--machines 8] [--cores 16] [--latency 0.03]

Scenes are dealt out to the worker processes of a number of machines as the fan-out does it, longest first, and each
stage of each scene takes the longest of what it needs: processor, requests one after the other, the machine's network.
Around it stand what one process does alone: asking the catalog page by page, DVC's hashing, the stages that read
tables. Prices are parameters below, as lists of providers give them; what was measured has its command beside it.
"""

import argparse
import hashlib
import heapq
import time
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Figure:
    """A number that the simulation rests on, and where it comes from."""

    value: float
    what: str
    source: str


MEASURED = {
    "read": Figure(200.0, "chips of 12 bands, 256 px, read, calibrated, checked, a CPU-second", "read_engine"),
    "encode": Figure(211.0, "chips written to shards, a CPU-second", "shards"),
    "scan": Figure(4_400.0, "candidate windows with all mask fractions, a CPU-second", "read_engine"),
    "requests": Figure(0.25, "requests a window of 256 px of ground that is read", "read_engine"),
    "megabytes_in": Figure(0.44, "MB a window that is read", "read_engine"),
    "megabytes_chip": Figure(0.50, "MB a chip in its shard", "shards"),
    "pairs": Figure(4_270.0, "pairs written and verified, a CPU-second", "table_stages"),
    "select": Figure(133_000.0, "windows filtered, a CPU-second", "table_stages"),
    "mixture": Figure(57_000.0, "samples mixed, a CPU-second", "table_stages"),
    "select_memory": Figure(1.0, "GB of `select` a million windows", "table_stages"),
    "split_memory": Figure(0.9, "GB of `split` a million chips", "table_stages"),
    "hash": Figure(0.0, "MB that MD5, which DVC takes, hashes a CPU-second: measured here and now", "continent"),
}
"""By name; the source is a command under benchmarks/."""


@dataclass(frozen=True)
class Prices:
    """Of one cloud, in dollars, as listed; change them for yours."""

    machine_hour: float = 0.71
    """16 virtual cores, 32 GiB, on demand."""
    spot: float = 0.4
    """Share of it that a machine costs which may be taken away."""
    get_per_1000: float = 0.0004
    put_per_1000: float = 0.005
    gigabyte_month: float = 0.023
    gigabyte_out: float = 0.09
    """Across the border of the region; within it nothing."""


@dataclass(frozen=True)
class Source:
    """A sensor's scenes."""

    name: str
    windows: int
    """Of 256 px in a whole scene."""
    kept: float
    """Share of the windows that passes the filters: an assumption, the sample's is another."""
    bands: float
    """Bands, weighed by their pixels, as a share of the 12 bands that were measured."""
    pays: bool
    """Whether the reader pays for requests."""
    share: float
    """Of all chips."""


SOURCES = (
    Source("Sentinel-2", 1_849, 0.30, 1.0, False, 0.5),
    Source("Sentinel-1", 6_000, 0.45, 0.35, True, 0.3),
    Source("Landsat", 570, 0.25, 0.9, True, 0.2),
)
PAGE, PAGE_SECONDS = 250, 1.5
"""Items of a page of a STAC API, and how long one takes: as clients report of public ones."""
BANDWIDTH = 1_250.0
"""MB/s of one machine's network."""
IN_FLIGHT = 8
"""Requests of one process under way."""
PAIRS = 4.5
"""Of a chip."""
SHARD = 1_200
"""Chips."""
DISK = 2_000
"""GB of one machine's disk."""
MEMORY = 24.0
"""GB of the machine on which the stages run that read tables."""
INSTANCES = 300
"""Of one dvc.yaml: docs/how-to/large.md."""


@dataclass(frozen=True)
class Cost:
    """What one sensor's chips cost."""

    scenes: int
    cpu: dict[str, float]
    """Stage -> CPU-seconds."""
    requests: float
    gigabytes_in: float
    gigabytes_kept: float


def of_source(source: Source, chips: float) -> Cost:
    """All scenes of one sensor together."""
    m = {name: figure.value for name, figure in MEASURED.items()}
    windows = chips / source.kept
    # Strips without a selected window are not read; a strip has some twenty windows, so nearly all strips are.
    touched = windows * (1 - (1 - source.kept) ** 20)
    cpu = {
        "scan": windows / m["scan"],
        "labels": windows / m["scan"],
        "chips": touched / m["read"] * source.bands + chips / m["encode"] * source.bands,
        "qa": chips * PAIRS / m["pairs"],
    }
    mask = 0.05 * windows  # a mask of 20 m is a twentieth of the bytes
    return Cost(
        scenes=round(windows / source.windows),
        cpu=cpu,
        requests=touched * m["requests"] + mask * m["requests"],
        gigabytes_in=(touched * source.bands + mask) * m["megabytes_in"] / 1000,
        gigabytes_kept=chips * m["megabytes_chip"] * source.bands / 1000,
    )


def hours(costs: dict[str, Cost], machines: int, cores: int, latency: float) -> float:
    """Hours until the last worker is done: scenes are dealt out, the next to whoever is free."""
    random = np.random.default_rng(16)
    jobs: list[float] = []
    for cost in costs.values():
        work = sum(seconds for stage, seconds in cost.cpu.items() if stage != "qa") / cost.scenes
        waits = cost.requests * latency / IN_FLIGHT / cost.scenes
        network = cost.gigabytes_in * 1000 / (BANDWIDTH / cores) / cost.scenes
        # Reading overlaps with work; scenes differ in how much of them is wanted.
        own = np.maximum(work, np.maximum(waits, network)) * random.gamma(4, 1 / 4, cost.scenes)
        jobs += own.tolist()
    free = [0.0] * (machines * cores)
    for job in sorted(jobs, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free) / 3600


def alone(costs: dict[str, Cost], chips: float, parts: int) -> dict[str, float]:
    """Hours of what one process of a part, or of the project, does."""
    m = {name: figure.value for name, figure in MEASURED.items()}
    windows = sum(cost.scenes * source.windows for cost, source in zip(costs.values(), SOURCES, strict=True))
    kept = sum(cost.gigabytes_kept for cost in costs.values())
    return {
        "the catalog, page by page": sum(cost.scenes for cost in costs.values()) / PAGE * PAGE_SECONDS / 3600,
        "`qa`, a process a part": sum(cost.cpu["qa"] for cost in costs.values()) / parts / 3600,
        "`select` and `mixture`": (windows / m["select"] + chips * PAIRS / m["mixture"]) / 3600,
        "DVC's hashing": kept * 1000 / m["hash"] / 3600,
    }


def limits() -> list[tuple[float, str]]:
    """(chips at which it breaks, what), the first to break first."""
    m = {name: figure.value for name, figure in MEASURED.items()}
    per_chip = sum(source.share * source.bands for source in SOURCES) * m["megabytes_chip"] / 1000
    scenes = sum(source.share / source.kept / source.windows for source in SOURCES)
    largest = max(source.share / source.kept for source in SOURCES)
    found = [
        (DISK / (3 * per_chip), f"one machine's disk of {DISK / 1000:g} TB: shards, their cache and DVC's copy"),
        (MEMORY / (m["select_memory"] * largest) * 1e6, f"`select` in {MEMORY:g} GB: one instance a sensor"),
        (MEMORY / m["split_memory"] * 1e6, f"`split` in {MEMORY:g} GB: one instance for all sensors"),
        (20 * 500_000, f"{INSTANCES} instances of one dvc.yaml, at 500,000 chips a part and sensor"),
        (24 * 3600 / PAGE_SECONDS * PAGE / scenes, "a catalog that answers one page at a time, in a day"),
    ]
    return sorted(found)


def report(chips: float, machines: int, cores: int, latency: float) -> str:
    """The page's tables."""
    prices = Prices()
    costs = {source.name: of_source(source, chips * source.share) for source in SOURCES}
    lines = ["| | scenes | requests | GB read | GB kept | CPU-hours |", "|---|---:|---:|---:|---:|---:|"]
    for name, cost in costs.items():
        lines.append(
            f"| {name} | {cost.scenes:,} | {cost.requests / 1e6:,.1f} M | {cost.gigabytes_in:,.0f} | "
            f"{cost.gigabytes_kept:,.0f} | {sum(cost.cpu.values()) / 3600:,.0f} |"
        )
    wall = hours(costs, machines, cores, latency)
    total = sum(sum(cost.cpu.values()) for cost in costs.values()) / 3600
    kept = sum(cost.gigabytes_kept for cost in costs.values())
    paid = sum(cost.requests for cost, source in zip(costs.values(), SOURCES, strict=True) if source.pays)
    objects = chips / SHARD
    lines += ["", "| stage | CPU-hours | share |", "|---|---:|---:|"]
    for stage in ("scan", "labels", "chips", "qa"):
        own = sum(cost.cpu[stage] for cost in costs.values()) / 3600
        lines.append(f"| `{stage}` | {own:,.0f} | {own / total:.0%} |")
    lines += ["", "| what stands alone | hours |", "|---|---:|"]
    own_hours = alone(costs, chips, max(1, round(chips / 500_000)))
    lines += [f"| {name} | {value:.1f} |" for name, value in own_hours.items()]
    together = wall + sum(own_hours.values())
    lines += ["", "| what is paid | dollars |", "|---|---:|"]
    bill = {
        f"{machines} machines of {cores} cores for {wall:.1f} h, on demand": machines * wall * prices.machine_hour,
        "the same, of those that may be taken away": machines * wall * prices.machine_hour * prices.spot,
        "one machine for what stands alone": sum(own_hours.values()) * prices.machine_hour,
        "requests to buckets whose reader pays": paid / 1000 * prices.get_per_1000,
        f"{objects:,.0f} objects written": objects / 1000 * prices.put_per_1000,
        f"{kept:,.0f} GB kept for a month, twice with the cache": 2 * kept * prices.gigabyte_month,
    }
    read = sum(cost.gigabytes_in for cost in costs.values())
    bill[f"{read:,.0f} GB, if they were read from another region"] = read * prices.gigabyte_out
    lines += [f"| {name} | {value:,.0f} |" for name, value in bill.items()]
    lines += ["", f"From the first page of the catalog to the last sample: {together:.1f} hours."]
    lines += ["", "| what breaks, and at how many chips | chips |", "|---|---:|"]
    lines += [f"| {what} | {at / 1e6:,.1f} M |" for at, what in limits()]
    return "\n".join(lines)


def hash_rate(megabytes: int = 256) -> float:
    """MB a CPU-second."""
    content = bytes(megabytes * 1_000_000)
    began = time.process_time()
    hashlib.md5(content, usedforsecurity=False).hexdigest()
    return megabytes / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chips", type=float, default=10_000_000)
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds from a request to its first byte")
    given = parser.parse_args()
    MEASURED["hash"] = replace(MEASURED["hash"], value=round(hash_rate(), -1))
    print("| figure | value | measured by `python -m benchmarks.` |\n|---|---:|---|")
    for figure in MEASURED.values():
        print(f"| {figure.what} | {figure.value:,.5g} | `{figure.source}` |")
    print()
    print(report(given.chips, given.machines, given.cores, given.latency))


if __name__ == "__main__":
    main()
