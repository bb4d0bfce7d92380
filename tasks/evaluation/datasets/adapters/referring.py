"""DIOR-RSVG: VOC files whose objects carry a description, and splits that number the objects, not the images."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.adapters.objects import Annotated, voc, voc_object
from tasks.evaluation.datasets.files import ImageIndex, matches, need, read_lines
from tasks.evaluation.datasets.owner_boxes import write
from tasks.evaluation.datasets.samples import BenchmarkSample, Rejected


def dior_rsvg(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each described object whose running number is in `<split>.txt`.

    Objects are numbered through all annotation files in order of name. The owner's script takes the order of the
    file system, which is that of names on the file systems it was published from; the highest number of the three
    lists must fall inside the count, or the numbering is not the owner's.
    """
    wanted = {int(line) for line in read_lines(need(root, f"**/{job.benchmark.split}.txt"))}
    folder = need(root, *job.option("files"))
    files = matches(folder, "**/*.xml")
    index = ImageIndex(need(root, *job.option("images")))
    counted = 0
    for path in files:
        annotated: Annotated = next(voc([path]))
        for order, node in enumerate(ET.parse(path).getroot().iter("object")):
            number, counted = counted, counted + 1
            if number not in wanted:
                continue
            id = f"{number:06d}"
            text = (node.findtext("description") or "").strip()
            image = index.find(annotated.name, path.stem)
            if not text or annotated.size is None:
                what = "no description" if not text else "no image size in its XML"
                yield Rejected(id, "no_truth", f"{path.name}, object {order}: {what}", str(image))
                continue
            box = voc_object(node, path)[1](*annotated.size)
            yield job.sample(
                id,
                [job.image(image)],
                job.question(object=text),
                [write([box])],
                boxes=(box,),
                group=annotated.name,
                extra={"label": (node.findtext("name") or "").strip()},
            )
    if wanted and max(wanted) >= counted:
        raise BenchmarkError(
            f"{folder}: the {job.benchmark.split} list goes up to object {max(wanted)}, but its XML files hold only "
            f"{counted}; fetch the annotations whole"
        )
