"""`earthloom publish` against a stand-in of the hub's API on loopback, and what is fetched from it elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file

from tasks.commands.weights import export_weights
from tasks.core.errors import ExchangeError
from tasks.core.stage import write_json
from tasks.exchange.checkpoints.publish import check
from tasks.vlm.limits import Limits
from tasks.vlm.samples import ImageRef, Sample
from tests.conftest import ROOT
from tests.fixtures.elsewhere import run_elsewhere
from tests.fixtures.hub_uploads import COMMIT, LARGE, TOKEN, serve_uploads
from tests.fixtures.tiny_checkpoint import TAUGHT

SCORE = {"accuracy": 0.7, "n": 20, "majority": 0.5, "no_image": 0.6, "ci95": [0.6, 0.8]}
BANDS = ("B04", "B03", "B02", "B08")


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny checkpoint with all that training and evaluation write beside it, and the labels of its data set."""
    place = tmp_path_factory.mktemp("trained")
    folder = place / "3"
    shutil.copytree(tiny_checkpoint, folder)
    image = ImageRef("chips.parquet", "c", "sentinel-2", "ms", BANDS, 64, 64, None)
    Limits.of([Sample("s", "c", "sentinel-2", "ms", (image,), (TAUGHT[0],), ("cover",), 1)]).save(folder)
    write_json(folder / "scores.json", {"overall": SCORE, "by_type": {"cover": SCORE}, "by_modality": {"ms": SCORE}})
    stage = {"name": "train@3", "model": {"preset": "tiny"}, "common": {"seed": 7}, "stage": {"epochs": 2}}
    write_json(folder / "recipe.json", {"stages": [stage]})
    labels = place / "data/labels/sentinel-2/a"
    labels.mkdir(parents=True)
    dated = {"date": "2019", "items": ["a"]}
    entry = {
        "licence": "ODbL-1.0",
        "attribution": "OpenStreetMap contributors",
        "url": "https://osm.org/copyright",
    } | dated
    scenes = {"s2": {"licence": "CC0-1.0", "attribution": "Copernicus", "url": ""} | dated}
    write_json(labels / "licences.json", {"labels": {"osm": entry}, "scenes": scenes})
    write_json(labels / "sources.json", {"rules": {"derived": True}})
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path) -> Path:
    out = checkpoint.parent / "out"
    export_weights(checkpoint, out, layout="remote-code", data_version="demo@v0.0.3", data=checkpoint.parent / "data")
    return out


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "model")
    return tmp_path / "model"


def publish(folder: Path, endpoint: str, token: str | None, *more: str) -> subprocess.CompletedProcess[str]:
    own = {"HF_ENDPOINT": endpoint, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "COLUMNS": "300"}
    environment = {name: value for name, value in os.environ.items() if name != "HF_TOKEN"}
    environment |= {**own, "PYTHONPATH": str(ROOT), **({"HF_TOKEN": token} if token else {})}
    command = [sys.executable, "-m", "earthloom", "publish", str(folder), "--to", "someone/model", *more]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_the_card_names_data_recipe_scores_beside_controls_licences_and_limits(exported: Path) -> None:
    text = (exported / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["pipeline_tag"] == "image-text-to-text"
    assert "release `demo@v0.0.3`" in body
    assert "| `train@3` | epochs 2, seed 7 |" in body
    assert "| all | 20 | 70.0% | 60.0% to 80.0% | 60.0% |" in body and "| cover | 20 |" in body
    assert "| [osm](https://osm.org/copyright) | labels | ODbL-1.0 | OpenStreetMap contributors |" in body
    assert "Share-alike" in body and "| rules | labels | as the scenes |" in body
    assert (
        "| sentinel-2 | ms | B04 B03 B02 B08 | 1 |" in body
        and "| cover | 1 | What covers most of this image? |" in body
    )


def test_what_was_sent_under_a_tag_is_loaded_elsewhere_from_the_hub_and_answers(exported: Path, tmp_path: Path) -> None:
    code = """
from pathlib import Path
text = Path(CARD).read_text()
source = text.split("```python\\n")[1].split("```")[0]
import numpy as np
given = {"FOLDER": "someone/model", "PIXELS": np.full((4, 40, 40), 0.2, np.float32)}
source = source.replace("trust_remote_code=True", 'trust_remote_code=True, revision="v0.0.3"')
exec(source, given)
print(json.dumps([given["answer"], type(given["processor"]).__module__]))
"""
    with serve_uploads() as hub:
        hub.files["model-00001-of-00002.safetensors"] = b"of a version before"
        done = publish(exported, hub.endpoint, TOKEN, "--tag", "v0.0.3", "--branch", "next")
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"{hub.endpoint}/someone/model/commit/{COMMIT}" in done.stderr
        answer, module = run_elsewhere(
            f"CARD = {str(exported / 'README.md')!r}\n" + code, tmp_path, tmp_path / "cache", hub.endpoint
        )
        again = publish(exported, hub.endpoint, TOKEN, "--tag", "v0.0.3")
    assert hub.files == {path.name: path.read_bytes() for path in exported.iterdir()}  # nothing of the version before
    assert (hub.tags, hub.branches, hub.repos["someone/model"]["type"]) == ({"v0.0.3": COMMIT}, ["next"], "model")
    assert set(hub.objects.values()) == {content for content in hub.files.values() if len(content) >= LARGE}
    assert answer == "dense forest" and module.startswith("transformers_modules.someone.model")
    assert again.returncode == 1 and "is the tag v0.0.3 there already?" in again.stdout + again.stderr


def test_without_a_token_it_is_said_what_would_be_sent_and_nothing_is(exported: Path) -> None:
    with serve_uploads() as hub:
        for more, code, said in (((), 1, "HF_TOKEN is not set"), (("--dry-run",), 0, "would be sent to someone/model")):
            done = publish(exported, hub.endpoint, None, *more)
            shown = done.stdout + done.stderr
            assert done.returncode == code and said in shown and "modeling_earthdial.py" in shown
    assert not hub.repos and not hub.files


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pytorch_model.bin", "x", "pytorch_model.bin is a pickle"),
        (".netrc", "x", r"\.netrc is no file of a checkpoint"),
        ("notes.txt", f"hf_{'a' * 34}", "notes.txt holds what looks like a secret: hf_aaa"),
        ("extra.py", "import os", "extra.py is code that `auto_map`"),
        ("recipe.json", '{"out": "/home/someone/data/train"}', "recipe.json names a place of this machine: out is"),
        ("scores.json", "{", "scores.json is not JSON"),
    ],
)
def test_what_must_not_leave_is_refused_by_name(folder: Path, name: str, content: str, said: str) -> None:
    (folder / name).write_text(content)
    with pytest.raises(ExchangeError, match=said):
        check(folder)


def test_a_link_a_folder_of_a_training_stage_and_a_cut_file_are_refused(
    folder: Path, checkpoint: Path, tmp_path: Path
) -> None:
    from tasks.core.errors import EarthloomError

    with pytest.raises(ExchangeError, match=r"has no README\.md: .*not the folder of a training stage"):
        check(checkpoint)
    (folder / "weights.json").symlink_to(folder / "config.json")
    with pytest.raises(ExchangeError, match=r"weights\.json is a link"):
        check(folder)
    (folder / "weights.json").unlink()
    weights = folder / "model.safetensors"
    assert load_file(weights)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(EarthloomError, match="not a whole safetensors file"):
        check(folder)
    with pytest.raises(ExchangeError, match="is no folder"):
        check(tmp_path / "gone")
    assert json.loads((folder / "config.json").read_text())["auto_map"]
