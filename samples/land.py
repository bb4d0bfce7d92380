"""Makes tasks/earth/land.parquet from the land mask of the package global-land-mask: `python -m samples.land`."""

from importlib.metadata import files

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.earth.land_mask import COLUMNS, PART, ROWS, TABLE


def main() -> None:
    """Every row of it, True over the ocean there, as bits that are 1 on land."""
    archive = next(file for file in files("global-land-mask") or [] if file.name.endswith(".npz"))
    bits = np.packbits(~np.load(archive.locate())["mask"], axis=1)
    assert bits.shape == (ROWS, COLUMNS // 8)
    parts = [bits[first : first + PART].tobytes() for first in range(0, ROWS, PART)]
    how = {"compression": "zstd", "compression_level": 19, "use_dictionary": False, "write_statistics": False}
    pq.write_table(pa.table({"bits": pa.array(parts, pa.binary())}), TABLE, row_group_size=1, **how)


if __name__ == "__main__":
    main()
