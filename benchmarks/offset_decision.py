"""How often the decision whether Sentinel-2's offset is in the numbers is right: made scenes of known truth.

    python -m benchmarks.offset_decision [--scenes 40]

A scene is made of materials with the reflectance that Sentinel-2 measures of them, mixed by a map of smooth patches,
lit unevenly, with the noise of the instrument, and classed as Sen2Cor classes them, wrongly for some. Each is given to
the decision twice, with 1000 in its numbers and without. It prints, by kind of scene, how often the decision was right,
left to the metadata (ambiguous), or wrong. What is simulated: all of it; the reflectances are those of published
spectra, rounded. Real scenes are the test of `tests/tasks/test_shared_scenes.py` and the sample.
"""

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from tasks.earth.offset import ADDED, ASKED, decide

SIDE = 183
MATERIALS: Mapping[str, tuple[tuple[float, ...], int]] = {
    # coastal, blue, red, nir08, cirrus, swir16, swir22 as surface reflectance; class of the scene classification
    "open water": ((0.025, 0.022, 0.010, 0.004, 0.001, 0.002, 0.001), 6),
    "turbid water": ((0.060, 0.075, 0.095, 0.035, 0.001, 0.006, 0.004), 6),
    "sun glint": ((0.090, 0.085, 0.080, 0.078, 0.002, 0.070, 0.065), 6),
    "forest": ((0.020, 0.022, 0.025, 0.280, 0.001, 0.120, 0.050), 4),
    "crops": ((0.030, 0.035, 0.045, 0.420, 0.001, 0.190, 0.095), 4),
    "dry grass": ((0.060, 0.075, 0.140, 0.260, 0.001, 0.300, 0.220), 5),
    "dark soil": ((0.050, 0.060, 0.095, 0.150, 0.001, 0.220, 0.190), 5),
    "bright soil": ((0.100, 0.125, 0.240, 0.330, 0.001, 0.430, 0.390), 5),
    "sand": ((0.130, 0.175, 0.380, 0.480, 0.001, 0.600, 0.560), 5),
    "salt": ((0.420, 0.460, 0.520, 0.540, 0.002, 0.420, 0.360), 5),
    "basalt": ((0.055, 0.060, 0.070, 0.085, 0.001, 0.110, 0.105), 2),
    "town": ((0.095, 0.105, 0.130, 0.200, 0.001, 0.220, 0.200), 5),
    "fresh snow": ((0.900, 0.920, 0.930, 0.850, 0.010, 0.110, 0.090), 11),
    "old snow": ((0.700, 0.720, 0.720, 0.600, 0.005, 0.060, 0.050), 11),
    "snow in shadow": ((0.240, 0.200, 0.130, 0.090, 0.003, 0.015, 0.012), 11),
    "thick cloud": ((0.720, 0.700, 0.700, 0.720, 0.060, 0.500, 0.420), 9),
    "ice cloud": ((0.650, 0.640, 0.640, 0.640, 0.250, 0.300, 0.260), 9),
    "thin cirrus": ((0.190, 0.190, 0.200, 0.260, 0.040, 0.230, 0.180), 10),
    "cloud shadow": ((0.015, 0.013, 0.012, 0.060, 0.001, 0.040, 0.025), 3),
}
KINDS: Mapping[str, Mapping[str, float]] = {
    "dark water": {"open water": 0.9, "sun glint": 0.02, "thick cloud": 0.08},
    "turbid water and glint": {"turbid water": 0.6, "sun glint": 0.4},
    "forest": {"forest": 0.85, "cloud shadow": 0.05, "thick cloud": 0.1},
    "farmland": {"crops": 0.5, "dark soil": 0.3, "dry grass": 0.15, "town": 0.05},
    "town and coast": {"town": 0.5, "open water": 0.3, "dry grass": 0.2},
    "dry land": {"dry grass": 0.6, "dark soil": 0.3, "bright soil": 0.1},
    "desert with rock": {"sand": 0.6, "bright soil": 0.35, "basalt": 0.05},
    "bright desert": {"sand": 0.7, "bright soil": 0.3},
    "salt flat": {"salt": 0.8, "bright soil": 0.2},
    "fresh snow": {"fresh snow": 0.9, "thick cloud": 0.1},
    "snow and forest": {"old snow": 0.6, "forest": 0.3, "snow in shadow": 0.1},
    "ice sheet in low sun": {"old snow": 0.7, "snow in shadow": 0.3},
    "cloud over water": {"thick cloud": 0.85, "open water": 0.15},
    "cloud, all of it": {"thick cloud": 0.6, "ice cloud": 0.4},
    "cirrus over desert": {"thin cirrus": 0.6, "sand": 0.4},
}


def scene(kind: str, rng: np.random.Generator, level: str) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.int64]]:
    """Reflectance by common name [SIDE, SIDE], and classes."""
    names, shares = list(KINDS[kind]), np.array(list(KINDS[kind].values()))
    field = gaussian_filter(rng.normal(size=(SIDE, SIDE)), rng.uniform(2, 12))
    order = field.argsort(axis=None).argsort().reshape(SIDE, SIDE) / SIDE**2
    edges = np.cumsum(shares)[:-1]
    where = np.searchsorted(edges, order, side="right")
    light = 1 + 0.12 * gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3) / 0.1 * rng.uniform(0, 1)
    haze = rng.uniform(0, 0.02) if level == "L2A" else rng.uniform(0.02, 0.09)
    out = {}
    for index, band in enumerate(ASKED):
        if band == "cirrus" and level == "L2A":
            continue
        own = np.array([MATERIALS[name][0][index] for name in names])
        own = own * rng.uniform(0.85, 1.2, len(own))
        # The atmosphere's own light, which correction leaves a little of, too much or too little: most in blue.
        air = haze * {"coastal": 1.3, "blue": 1.0, "red": 0.4, "nir08": 0.15}.get(band, 0.0)
        bias = rng.normal(0, 0.006) * {"coastal": 1.5, "blue": 1.0}.get(band, 0.4) if level == "L2A" else 0.0
        noise = rng.normal(0, 0.0025, (SIDE, SIDE))
        out[band] = own[where] * np.clip(light, 0.5, 1.6) + air + bias + noise
    classes = np.array([MATERIALS[name][1] for name in names])[where]
    confused = rng.random((SIDE, SIDE)) < 0.05
    classes = np.where(confused, rng.choice([2, 3, 4, 5, 6, 7, 8], (SIDE, SIDE)), classes)
    return out, classes


def numbers(reflectance: NDArray[np.float64], added: int) -> NDArray[np.uint16]:
    """As products store it: whole, never 0 where there is a measurement."""
    return np.clip(np.round(reflectance * 10_000) + added, 1, 65535).astype(np.uint16)


def measure(scenes: int, seed: int = 0) -> dict[tuple[str, str], list[int]]:
    """[right, ambiguous, wrong] by level and kind, over both truths."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[str, str], list[int]] = {}
    for level in ("L2A", "L1C"):
        for kind in KINDS:
            counts = found.setdefault((level, kind), [0, 0, 0])
            for _ in range(scenes):
                made, classes = scene(kind, rng, level)
                for truth, added in (("applied", 0), ("not applied", ADDED)):
                    samples = {band: numbers(plane, added) for band, plane in made.items()}
                    state, _ = decide(samples, classes if level == "L2A" else None)
                    counts[0 if state == truth else 1 if state == "ambiguous" else 2] += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=40, help="made scenes of each kind and level")
    found = measure(parser.parse_args().scenes)
    print(f"{'level':<6}{'kind of scene':<26}{'right':>8}{'ambiguous':>11}{'wrong':>8}")
    for (level, kind), counts in found.items():
        shares = [f"{count / sum(counts):.1%}" for count in counts]
        print(f"{level:<6}{kind:<26}{shares[0]:>8}{shares[1]:>11}{shares[2]:>8}")
    total = np.sum(list(found.values()), axis=0)
    print(f"{total.sum()} decisions: {total[2]} wrong, {total[1]} left to the metadata")


if __name__ == "__main__":
    main()
