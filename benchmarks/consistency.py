"""No speed: pairs of a built dataset that contradict another pair about the same chip.

    python -m benchmarks.consistency [FOLDER]

FOLDER holds conversations as data/qa does, its default. The same check runs before a pair is kept, so that a dataset
built today has none; one built before it shows what the check is worth.
"""

import argparse
from pathlib import Path

from tasks.quality.consistency import count, rows_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("data/qa"))
    found = count(rows_of(parser.parse_args().folder))
    print(f"{found['pairs']} pairs about {found['chips']} chips, {found['contradictory']} contradict another one")
    for kind, pairs in found["by_type"].items():
        print(f"  {kind}: {pairs}")


if __name__ == "__main__":
    main()
