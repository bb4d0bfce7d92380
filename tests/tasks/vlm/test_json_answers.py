"""Answers that keep to a JSON schema, and schemas that no answer can keep to."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel
from tokenizers.models import BPE

from tasks.vlm.answerer import load_tokenizer
from tasks.vlm.json_answers import JsonSchemas
from tasks.vlm.sampling import NotHonouredError
from tests.fixtures.tiny_checkpoint import write_tokenizer

SCHEMA = {
    "type": "object",
    "properties": {
        "cover": {"enum": ["forest", "water"]},
        "share": {"type": "integer", "minimum": 0, "maximum": 100},
        "boxes": {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2},
    },
    "required": ["cover", "share", "boxes"],
    "additionalProperties": False,
}
END = 1


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, ["dense forest and open water"])
    return load_tokenizer(folder)


def written(schemas: JsonSchemas, schema: dict[str, Any], seed: int, longest: int = 400) -> str | None:
    """What comes of drawing any of the allowed tokens; None where it went on for too long."""
    constraint, ids = schemas.constraint(schema), []
    drawn = torch.Generator().manual_seed(seed)
    for _ in range(longest):
        allowed = constraint.allowed().nonzero().flatten()
        token = int(allowed[torch.randint(len(allowed), (), generator=drawn)])
        if token == END:
            break
        ids.append(token)
        if constraint.take(token):
            break
    else:
        return None
    return str(schemas.tokenizer.decode(ids, skip_special_tokens=True))


def test_whatever_is_drawn_is_json_of_the_schema(tokenizer: Any) -> None:
    schemas = JsonSchemas(tokenizer, len(tokenizer) + 7, END)
    texts = [text for seed in range(12) if (text := written(schemas, SCHEMA, seed)) is not None]
    assert len(texts) > 6
    for text in texts:
        value = json.loads(text)
        assert list(value) == ["cover", "share", "boxes"] and value["cover"] in ("forest", "water")
        assert 0 <= value["share"] <= 100 and 1 <= len(value["boxes"]) <= 2
        assert " " not in text
    objects = [text for seed in range(12) if (text := written(schemas, {}, seed)) is not None]
    assert objects and all(isinstance(json.loads(text), dict) for text in objects)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "strin"}, "Invalid type: strin"),
        ({"not": {"type": "string"}}, "not"),
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"type": "string", "format": "colour"}, "Unknown format: colour"),
        ({"type": "string", "pattern": "(?=a)b"}, "look-around"),
        ({"$ref": "http://127.0.0.1/schema.json"}, "does not fetch"),
        ({"$defs": {"n": {"$ref": "#/$defs/n"}}, "$ref": "#/$defs/n"}, "no text keeps to it"),
        ({"enum": []}, "Unsatisfiable"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
        ({"type": "array", "minItems": 3, "maxItems": 2}, "minItems"),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused_with_its_reason(tokenizer: Any, schema: Any, said: str) -> None:
    with pytest.raises(NotHonouredError, match=r"the schema of the answer cannot be kept to") as caught:
        JsonSchemas(tokenizer, len(tokenizer), END).constraint(schema)
    assert said in str(caught.value) and caught.value.param == "response_format"


def test_a_schema_nested_without_end_is_refused(tokenizer: Any) -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(NotHonouredError, match="nested too deeply"):
        JsonSchemas(tokenizer, len(tokenizer), END).constraint(schema)


def test_a_tokenizer_that_cannot_spell_json_is_named(tmp_path: Path) -> None:
    letters = Tokenizer(BPE({letter: number for number, letter in enumerate("abcdefgh")}, []))
    letters.decoder = ByteLevel()
    letters.save(str(tmp_path / "tokenizer.json"))
    schemas = JsonSchemas(load_tokenizer(tmp_path), 8, END)
    with pytest.raises(NotHonouredError, match=r"by this model's tokenizer: it lacks .*\{"):
        schemas.constraint({})
