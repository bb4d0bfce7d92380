"""What stage 1 of RS-MoE begins with where InstructBLIP was imported."""

from pathlib import Path
from typing import Any

import pytest
import torch

from models.rsmoe.model import RsMoeForConditionalGeneration
from models.rsmoe.presets import make_config
from models.rsmoe.prompt import QFORMER_TOKENIZER
from tasks.commands.weights import import_weights
from tasks.core.errors import TrainingError
from tasks.training.moe_setup import load_dense, load_tokenizers
from tasks.vlm.rsmoe_network import load_reader
from tests.fixtures.instructblip import write_instructblip

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("imported")
    write_instructblip(folder / "published", rms_norm_eps=1e-5)
    import_weights(str(folder / "published"), folder / "ours")
    return folder / "ours"


def test_published_weights_keep_their_own_constants_and_take_our_tokens(imported: Path) -> None:
    network: Any = RsMoeForConditionalGeneration
    own = network.from_pretrained(imported)
    config = type(own.config)(**own.config.to_dict())
    config.text_config.rms_norm_eps = 1e-6  # as a preset may have it
    config.text_config.vocab_size, config.text_config.eos_token_id, config.image_token_index = 340, 330, 331
    model = load_dense(imported, config, "7b")
    text: Any = model.config.text_config
    assert (text.rms_norm_eps, text.eos_token_id, text.vocab_size) == (1e-5, 330, 340)
    rows = [one.get_input_embeddings().weight for one in (own, model)]
    assert len(rows[1]) == 340 and torch.equal(rows[1][: len(rows[0])], rows[0])


def test_weights_of_other_sizes_are_refused_by_the_field_that_differs(imported: Path) -> None:
    config = make_config("tiny", vocab_size=400, image_token_id=7, end_token_id=1, pad_token_id=0)
    with pytest.raises(TrainingError, match=r"not of preset tiny: its vision_config.hidden_size is 32, not 96"):
        load_dense(imported, config, "tiny")


def test_the_q_former_reads_with_its_own_tokenizer_which_goes_into_the_checkpoint(
    imported: Path, tmp_path: Path
) -> None:
    reader = load_reader(imported)
    assert len(reader) == 260 and reader.convert_tokens_to_ids("[DEC]") == 259
    tokenizer, write = load_tokenizers(imported, None)
    write(tmp_path)
    assert tokenizer.convert_tokens_to_ids("<|end|>") >= 260
    assert len(load_reader(tmp_path)) == 260 and (tmp_path / QFORMER_TOKENIZER).is_dir()
    assert load_reader(None) is None
