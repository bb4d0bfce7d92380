"""Captions: Karpathy's JSON (RSICD, RSITMD, UCM, Sydney; LEVIR and Dubai with two dates), NWPU's and RSGPT's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks.evaluation.datasets.adapters.job import ImportJob, short_answer_type
from tasks.evaluation.datasets.files import ImageIndex, get, need, read_json, records
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def karpathy(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each image of the split in `{"images": [{filename, split, sentences: [{raw}]}]}`.

    Options: `file`, patterns of the JSON file; `images`, patterns of the folder of pictures; `dates`, its subfolders
    for pairs, before first (`["A", "B"]`); `flag`, a field to keep (LEVIR's `changeflag`).
    """
    path = need(root, *job.option("file"))
    index = ImageIndex(need(root, *job.option("images")))
    dates = job.option("dates", [])
    for number, entry in enumerate(records(read_json(path), "images", path)):
        where = f"{path}, image {number}"
        if entry.get("split", job.benchmark.split) != job.benchmark.split:
            continue
        name = str(get(entry, "filename", where))
        sentences = [_raw(sentence) for sentence in get(entry, "sentences", where)]
        captions = [sentence for sentence in sentences if sentence.strip()]
        if not captions:
            yield Rejected(name, "no_truth", f"{name} has no caption", name)
            continue
        folder = entry.get("filepath", job.benchmark.split) if dates else ""
        if dates:
            images = [job.image(index.find(f"{folder}/{date}/{name}", f"{date}/{name}")) for date in dates]
        else:
            images = [job.image(index.find(name))]
        flag = job.option("flag")
        extra = {flag: entry[flag]} if flag in entry else {}
        if len(captions) < len(sentences):
            extra["empty_captions"] = len(sentences) - len(captions)
        yield job.sample(name, images, job.question(), captions, extra=extra)


def _raw(sentence: Any) -> str:
    if isinstance(sentence, str):
        return sentence
    return str(sentence.get("raw") or " ".join(sentence.get("tokens", [])))


def nwpu(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each image of the split in `{class: [{filename, split, raw, raw_1, ..., raw_4}]}`."""
    path = need(root, *job.option("file"))
    index = ImageIndex(need(root, *job.option("images")))
    for label, entries in read_json(path).items():
        for number, entry in enumerate(records(entries, label, path)):
            where = f"{path}, {label}, image {number}"
            if get(entry, "split", where) != job.benchmark.split:
                continue
            name = str(get(entry, "filename", where))
            captions = [str(entry[key]) for key in ("raw", "raw_1", "raw_2", "raw_3", "raw_4") if entry.get(key)]
            if not captions:
                yield Rejected(f"{label}/{name}", "no_truth", f"{name} has no caption", name)
                continue
            image = job.image(index.find(f"{label}/{name}", name))
            yield job.sample(f"{label}/{name}", [image], job.question(), captions, extra={"label": label})


def rsgpt(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """RSICap (`text_input`, `text_output`), and RSIEval's captions or questions (`caption`, `qa_pairs`).

    Options: `file`, `images`; `ask`: captions, or questions. A question left empty by the owner is left out, and
    said so.
    """
    path = need(root, *job.option("file"))
    index = ImageIndex(need(root, *job.option("images")))
    for number, entry in enumerate(records(read_json(path), "annotations", path)):
        where = f"{path}, annotation {number}"
        name = str(get(entry, "filename", where))
        image = job.image(index.find(name))
        if job.option("ask", "captions") == "captions":
            caption = str(entry["caption"] if "caption" in entry else get(entry, "text_output", where)).strip()
            if caption:
                yield job.sample(name, [image], job.question(), [caption])
            else:
                yield Rejected(name, "no_truth", f"{name} has no caption", name)
            continue
        for position, pair in enumerate(get(entry, "qa_pairs", where)):
            id = f"{name}#{position}"
            question, answer = str(get(pair, "question", where)), str(get(pair, "answer", where))
            if not question.strip() or not answer.strip():
                yield Rejected(id, "no_truth", "the question or its answer is empty", name)
                continue
            asked = job.question(question=question)
            kind = {"vqa_type": str(pair.get("type", "")), "answer_type": short_answer_type(answer)}
            yield job.sample(id, [image], asked, [answer], **kind, group=name)
