"""A small repository whose versions are models: real git, a real DVC remote in a folder, answers as good as asked for.

Its code stands for the project's: `work.py` makes the data, the models and their predictions, and `earthloom.py`
answers as `earthloom evaluate` does.
"""

import shutil
import sys
import textwrap
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from dvc.repo import Repo

from flows.versions.git import git
from flows.versions.registry import MODEL

PARAMS = """\
data: {seed: 0}
model: {skill: 60}
evaluate:
  {device: cpu, threads: 1, batch: 4, max_new_tokens: 8, controls: [no-image], frozen: null, bootstrap: 200, seed: 0}
promote:
  modalities: {ms: {margin: 0.1, above_controls: 0.0}}
  min_questions: 20
  min_chips: 5
  bootstrap: 200
  seed: 0
"""

PIPELINE = """\
stages:
  mixture:
    cmd: python work.py mixture
    deps: [work.py]
    params: [data]
    outs: [data/mixture/1, data/mixture/2, data/mixture/3, data/split, data/chips/s2/a]
  train:
    cmd: python work.py train
    deps: [work.py, data/mixture/3]
    params: [model]
    outs: [data/train/3]
  evaluate:
    foreach:
      earthdial: { checkpoint: data/train/3 }
    do:
      cmd: python work.py evaluate
      deps: ["${item.checkpoint}", data/mixture/3, data/chips/s2/a]
      params: [evaluate]
      outs: ["data/evaluate/${key}/predictions.parquet"]
      metrics: ["data/evaluate/${key}/scores.json"]
artifacts:
  earthdial:
    path: data/train/3
    type: model
"""

WORK = '''\
"""Chips 0 to 29 are test, 30 to 59 are train; a seed moves the border."""
import json, pathlib, sys
import polars as pl
import yaml

def chip(number):
    return f"32618-0640-c{number:05d}-r06512_scene"

def predictions(folder, path):
    skill = int((folder / "weights.txt").read_text())
    test = pl.read_parquet("data/mixture/3/test.parquet")["chip_id"].to_list()
    assert pathlib.Path("data/chips/s2/a/shard-1.parquet").is_file()
    rows = [
        {"id": f"{name}/{turn}", "image_id": name, "modality": "ms", "question_type": "presence",
         "question": "Is there water?", "annotation": "yes",
         "answer": "yes" if (number * 4 + turn) * 37 % 100 < skill else "no", "no_image_answer": "no"}
        for number, name in enumerate(test) for turn in range(4)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(path)
    return sum(row["answer"] == "yes" for row in rows) / len(rows)

def main(stage):
    params = yaml.safe_load(pathlib.Path("params.yaml").read_text())
    if stage == "mixture":
        first = params["data"]["seed"]
        test, train = range(first, first + 30), [*range(0, first), *range(first + 30, 60)]
        image = lambda n: [{"chip_id": chip(n), "shard": "data/chips/s2/a/shard-1.parquet"}]
        for number in "123":
            folder = pathlib.Path("data/mixture", number)
            folder.mkdir(parents=True)
            for name, numbers in (("test", test), ("train", train)):
                rows = {"chip_id": [chip(n) for n in numbers], "images": [image(n) for n in numbers]}
                pl.DataFrame(rows).write_parquet(folder / f"{name}.parquet")
        pathlib.Path("data/split").mkdir()
        everything = [chip(n) for n in range(60)]
        rows = {"chip_id": everything, "window_id": [name[:24] for name in everything]}
        pl.DataFrame(rows).write_parquet("data/split/assignment.parquet")
        shards = pathlib.Path("data/chips/s2/a")
        shards.mkdir(parents=True)
        for number in (1, 2):
            rows = {"chip_id": everything, "number": [number] * 60}
            pl.DataFrame(rows).write_parquet(shards / f"shard-{number}.parquet")
    elif stage == "train":
        folder = pathlib.Path("data/train/3")
        folder.mkdir(parents=True)
        (folder / "weights.txt").write_text(str(params["model"]["skill"]))
        (folder / "normalisation.json").write_text("{}")
    else:
        score = predictions(pathlib.Path("data/train/3"), pathlib.Path("data/evaluate/earthdial/predictions.parquet"))
        scores = {"overall": {"accuracy": score, "majority": 0.25}, "by_modality": {"ms": {"accuracy": score}}}
        pathlib.Path("data/evaluate/earthdial/scores.json").write_text(json.dumps(scores))

if __name__ == "__main__":
    main(sys.argv[1])
'''

EVALUATE = '''\
"""Answers as `earthloom evaluate` of this commit does, and notes that it was asked."""
import os, pathlib, sys
import work

words = sys.argv[1:]
name, out = words[words.index("--name") + 1], words[words.index("--out") + 1]
with open(os.environ["ASKED"], "a") as file:
    file.write(name + "\\n")
if os.environ.get("UNASKABLE"):
    sys.exit("a layer of this model is not known here")
work.predictions(pathlib.Path(words[1]), pathlib.Path(out, name, "demo", "predictions.parquet"))
'''


@dataclass(frozen=True)
class ModelToy:
    """The repository, the checkout that its versions are made in, and the DVC remote."""

    origin: Path
    checkout: Path
    remote: Path

    @classmethod
    def make(cls, folder: Path) -> "ModelToy":
        """With no version yet."""
        toy = cls(folder / "origin.git", folder / "checkout", folder / "remote")
        git(folder, "init", "--quiet", "--bare", "--initial-branch", "main", str(toy.origin))
        git(folder, "clone", "--quiet", str(toy.origin), str(toy.checkout))
        for name, text in (
            ("work.py", WORK),
            ("earthloom.py", EVALUATE),
            ("dvc.yaml", PIPELINE.replace("python", sys.executable)),
            ("params.yaml", PARAMS),
        ):
            (toy.checkout / name).write_text(textwrap.dedent(text))
        git(toy.checkout, "config", "user.name", "toy")
        git(toy.checkout, "config", "user.email", "toy@example.org")
        Repo.init(str(toy.checkout)).close()
        toy._configure()
        return toy

    def release(self, skill: int, seed: int = 0, tag: bool = True) -> str:
        """Train a model and release it; its commit."""
        versions = git(self.checkout, "tag", "--list", f"{MODEL}@*").splitlines()
        text = PARAMS.replace("skill: 60", f"skill: {skill}").replace("data: {seed: 0}", f"data: {{seed: {seed}}}")
        (self.checkout / "params.yaml").write_text(text)
        with chdir(self.checkout), Repo(str(self.checkout)) as repo:
            repo.reproduce()
            repo.push()
        return self.commit(f"skill {skill}", f"{MODEL}@v0.0.{len(versions) + 1}" if tag else None)

    def commit(self, message: str, tag: str | None) -> str:
        """Commit what is there, tag it, push both."""
        git(self.checkout, "add", ".")
        git(self.checkout, "commit", "--quiet", "--allow-empty", "-m", message)
        if tag:
            git(self.checkout, "tag", "--annotate", "-m", message, tag)
        git(self.checkout, "push", "--quiet", "origin", "HEAD:refs/heads/main", "--tags")
        return git(self.checkout, "rev-parse", "HEAD")

    def copy(self, folder: Path) -> "ModelToy":
        """The same in another folder."""
        toy = ModelToy(folder / "origin.git", folder / "checkout", folder / "remote")
        for one, other in ((self.origin, toy.origin), (self.checkout, toy.checkout), (self.remote, toy.remote)):
            shutil.copytree(one, other, symlinks=True)
        git(toy.checkout, "config", "remote.origin.url", str(toy.origin))
        toy._configure()
        return toy

    def _configure(self) -> None:
        """Settings of the checkout alone: a worker gets its remote by EARTHLOOM_REMOTE."""
        text = f"[core]\n    analytics = false\n    remote = store\n['remote \"store\"']\n    url = {self.remote}\n"
        (self.checkout / ".dvc/config.local").write_text(text)
