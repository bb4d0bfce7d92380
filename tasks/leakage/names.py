"""What the sides of a check are called."""

from pathlib import Path


def side_name(path: Path) -> str:
    """A name from a path: data/mixture/3/train.parquet -> mixture-3-train; a folder by its own name."""
    if path.is_dir() or path.name == "samples.parquet":
        return (path if path.is_dir() else path.parent).resolve().name
    return "-".join(path.resolve().with_suffix("").parts[-3:])
