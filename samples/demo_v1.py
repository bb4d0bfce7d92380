"""The frozen test questions `samples/demo-v1`, from a checkout of the first edition after `dvc repro mixture` there.

    python samples/demo_v1.py FOLDER_OF_THE_CHECKOUT

Commit 7825a9b16d8bd8cdeab53ea25a08c94427c5245d. Questions and answers are copied as they stand; of the chips only those
that are asked about, their GeoTIFFs byte by byte.
"""

import sys
from pathlib import Path

import polars as pl

OUT = Path(__file__).parent / "demo-v1"
SHARD = "samples/demo-v1/chips.parquet"
CHIP = ("chip_id", "item_id", "collection", "sensor", "datetime", "bands", "pixels")


def main(checkout: Path) -> None:
    """Write questions, what labels each is about, and chips."""
    questions = pl.read_parquet(checkout / "data/mixture/3/test.parquet")
    pairs = pl.concat([pl.read_parquet(path) for path in sorted(checkout.glob("data/qa/*/*/conversations.parquet"))])
    shards = sorted(checkout.glob("data/chips/*/*/shard-*.parquet"))
    chips = pl.concat([pl.read_parquet(path, columns=list(CHIP)) for path in shards])
    image = pl.element().struct.with_fields(pl.lit(SHARD).alias("shard"))
    asked = questions.with_columns(pl.col("images").list.eval(image))
    sources = questions.select("sample_id", conversation_id=pl.col("sample_id").str.replace("/[a-z]+$", "")).join(
        pairs.select(
            "conversation_id",
            label_source=pl.col("label_sources").list.join("+"),
            labels=pl.col("turns").list.first().struct.field("labels_used"),
        ),
        on="conversation_id",
        how="left",
        validate="m:1",
        maintain_order="left",
    )
    OUT.mkdir(exist_ok=True)
    asked.write_parquet(OUT / "questions.parquet", compression="zstd")
    sources.drop("conversation_id").write_parquet(OUT / "labels.parquet", compression="zstd")
    kept = chips.filter(pl.col("chip_id").is_in(questions["chip_id"].unique().implode())).sort("chip_id")
    kept.write_parquet(OUT / "chips.parquet", compression="zstd", row_group_size=8)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
