"""What a tokenizer's files say about its vocabulary, without loading it: published ones come in many layouts."""

import json
from pathlib import Path
from typing import Any

from tasks.core.errors import WeightsError


def token_ids(folder: Path) -> dict[str, int]:
    """Every token whose id a JSON file in `folder` tells; of a bare `tokenizer.model` only the added ones."""
    found: dict[str, int] = {}
    whole = _json(folder / "tokenizer.json")
    vocabulary = whole.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, dict):
        found |= vocabulary
    else:  # a unigram model's pairs of piece and score, in the order of their ids
        found |= {pair[0]: number for number, pair in enumerate(vocabulary)}
    found |= {token["content"]: token["id"] for token in whole.get("added_tokens", [])}
    decoder = _json(folder / "tokenizer_config.json").get("added_tokens_decoder", {})
    found |= {token["content"]: int(number) for number, token in decoder.items()}
    return found | _json(folder / "added_tokens.json")


def rename_token(folder: Path, name: str, other: str) -> None:
    """Give a token of `tokenizer.json` another name. Its id stays, and what bore the name before gives it up.

    Raises:
        WeightsError: there is no such token.
    """
    path = folder / "tokenizer.json"
    whole = _json(path)
    vocabulary = whole.get("model", {}).get("vocab", {})
    added = {token["content"]: token for token in whole.get("added_tokens", [])}
    if name not in added:
        raise WeightsError(f"{path} has no token {name} of its own")
    for old, new in ((other, f"<unused {other.strip('<>')}>"), (name, other)):
        if old in added:
            added[old]["content"] = new
        if isinstance(vocabulary, dict) and old in vocabulary:
            vocabulary[new] = vocabulary.pop(old)
    path.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.is_file() else {}
