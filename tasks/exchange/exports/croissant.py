"""Croissant 1.0 metadata of an export as Parquet: its files and the columns of its records, for `mlcroissant`."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from tasks.exchange.exports.card import TITLE
from tasks.exchange.exports.hugging_face import columns
from tasks.exchange.exports.licences import Ledger
from tasks.exchange.exports.options import SPLIT_NAMES, Options

NAME = "earthloom-instruction-data"
CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(options: Options, ledger: Ledger, splits: Sequence[str], description: str) -> dict[str, Any]:
    """croissant.json.

    Args:
        options: what the export was asked for.
        ledger: of its sources.
        splits: that hold a row.
        description: one sentence of what it is.
    """
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": NAME,
        "alternateName": TITLE,
        "description": description,
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "license": sorted({entry.licence for entry in ledger.entries}),
        "creditText": " ".join(ledger.notices),
        "distribution": [_files(split) for split in splits],
        "recordSet": [_records(split, options) for split in splits],
    }


def _files(split: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{split}-files",
        "name": f"{split}-files",
        "description": f"Parquet shards of the side '{split}'.",
        "encodingFormat": "application/x-parquet",
        "includes": f"data/{SPLIT_NAMES[split]}-*.parquet",
    }


def _records(split: str, options: Options) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": split,
        "name": split,
        "description": f"Conversations of the side '{split}', one a record.",
        # Croissant 1.0 has no type for a file of many bands: `pixels` stands in the Parquet alone.
        "field": [_field(split, name, kind) for name, kind in columns(options).items() if not pa.types.is_binary(kind)],
    }


def _field(split: str, name: str, kind: pa.DataType) -> dict[str, Any]:
    source: dict[str, Any] = {"fileSet": {"@id": f"{split}-files"}, "extract": {"column": name}}
    field: dict[str, Any] = {"@type": "cr:Field", "@id": f"{split}/{name}", "name": name, "source": source}
    if name == "image":
        source["transform"] = {"jsonPath": "bytes"}
        return {**field, "dataType": "sc:ImageObject"}
    if pa.types.is_list(kind):
        field["repeated"] = True
        kind = kind.value_type
    if pa.types.is_struct(kind):
        parts = []
        for inner in kind:
            part = _field(split, name, inner.type)
            part |= {"@id": f"{split}/{name}/{inner.name}", "name": inner.name}
            part["source"]["transform"] = {"jsonPath": inner.name}
            parts.append(part)
        field.pop("source")
        return {**field, "subField": parts}
    text, truth = pa.types.is_string(kind), pa.types.is_boolean(kind)
    return {**field, "dataType": "sc:Text" if text else "sc:Boolean" if truth else "sc:Float"}
