"""pyarrow without pandas: the first Python value that it makes an array of has it import pandas, if that is installed,
to see whether the value is one of its series. That takes 0.2 CPU-s and 45 MB of every process.

It asks once, in Cython and in C++. If pandas cannot be imported then, values of it are not expected: `pandas.NA` is
refused by name, and the NaN of a series stays NaN: nothing here hands pyarrow a series. `to_pandas` and `from_pandas`
import it as ever, and series are understood from then on.
"""

import sys
from contextlib import suppress

import pyarrow as pa


def leave_pandas_out() -> None:
    """Have pyarrow ask while there is no pandas; where pandas has been imported already, nothing changes."""
    if "pandas" in sys.modules:
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]  # what Python takes for a module that is not there
    try:
        with suppress(ImportError, AttributeError):  # Cython imports None, which has no version
            pa.array([None])
        pa.array([None])  # which comes to the question in C++
    finally:
        del sys.modules["pandas"]
