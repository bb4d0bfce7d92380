"""What opening a picture costs: large ones beside Pillow's own decoding, hostile ones beside nothing.

    python -m benchmarks.pictures [--only TEXT]

Each is opened in a process of its own, for a model of six tiles of 448 pixels: CPU seconds and the peak of memory, less
those of a picture of one pixel. `ratio` is to Pillow's decoding of all pixels in the same run.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 6_000


def large(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Pictures of 36 million pixels as people have them."""
    from tests.fixtures.pictures import saved, tiff

    rng = np.random.default_rng(0)
    fields = rng.integers(0, 256, (SIDE // 10, SIDE // 10, 3), dtype=np.uint8).repeat(10, axis=0).repeat(10, axis=1)
    picture = Image.fromarray(fields)
    yield "png, 6000 x 6000", saved(picture, "PNG", compress_level=1)
    yield "png, palette", saved(picture.quantize(64), "PNG", compress_level=1)
    yield "png, rgba", saved(picture.convert("RGBA"), "PNG", compress_level=1)
    yield "jpeg, 6000 x 6000", saved(picture, "JPEG")
    yield "jpeg, progressive", saved(picture, "JPEG", progressive=True)
    yield "webp, 6000 x 6000", saved(picture, "WEBP", method=0)
    yield "tiff, deflate", tiff(fields, photometric="RGB", compress="deflate", zlevel=1)
    yield "tiff, jpeg in tiles", tiff(fields, photometric="YCbCr", compress="jpeg", tiled=True)


def opened(path: Path) -> str:
    """What opening a file comes to."""
    from tasks.core.errors import EarthloomError
    from tasks.vlm.image_file import open_image

    try:
        image = open_image(path.read_bytes(), path.name, 448, 6)
    except EarthloomError as error:
        return str(error)
    return f"a picture of {image.width} x {image.height}"


def measured(path: Path, mode: str) -> tuple[float, float, str]:
    """CPU seconds, peak in MB, and what came, of one file in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pictures", "--open", str(path), "--mode", mode],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        return 0.0, 0.0, f"the process ended with {done.returncode}: {done.stderr.strip()[-80:]}"
    seconds, peak, came = done.stdout.rstrip("\n").split("\t", 2)
    return float(seconds), float(peak), came


def one(path: Path, mode: str) -> None:
    """Open a file and print what it cost; the imports are made before."""
    import tasks.vlm.image_file  # noqa: F401

    before = time.process_time()
    if mode == "pillow":
        Image.MAX_IMAGE_PIXELS = None
        with Image.open(path) as picture:
            picture.load()
        came = "decoded"
    else:
        came = opened(path)
    seconds = time.process_time() - before
    # Not `ru_maxrss`, which begins with the peak of the process that started this one.
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1000
    print(seconds, peak, came.replace("\n", " "), sep="\t")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--mode", default="ours", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.open:
        one(args.open, args.mode)
        return
    from tests.fixtures.hostile_pictures import costly

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "picture"
        Image.new("RGB", (1, 1)).save(path, "PNG")
        _, bare, _ = measured(path, "ours")
        print("| picture | bytes | CPU-s | peak MB | Pillow's CPU-s | ratio |\n|---|---|---|---|---|---|")
        for name, content in large(folder):
            if args.only in name:
                path.write_bytes(content)
                (seconds, peak, _), (theirs, _, _) = measured(path, "ours"), measured(path, "pillow")
                print(f"| {name} | {len(content):,} | {seconds:.2f} | {peak - bare:.0f} | {theirs:.2f} | "
                      f"{seconds / theirs:.2f} |", flush=True)  # fmt: skip
        print("\n| hostile | bytes | came | CPU-s | peak MB |\n|---|---|---|---|---|")
        for name, content in costly(folder):
            if args.only in name:
                path.write_bytes(content)
                seconds, peak, came = measured(path, "ours")
                print(f"| {name} | {len(content):,} | {came[:150]} | {seconds:.2f} | {peak - bare:.0f} |", flush=True)


if __name__ == "__main__":
    main()
