"""Object detection in its owners' files (VOC, COCO, DOTA, YOLO, UCAS-AOD, NWPU VHR-10), asked class by class.

EarthDial's questions ("2 white small ... at the top left") were made from these files by rules nobody published;
so from the owner's files we ask for all objects of each class in an image, and say that the score is not comparable.
"""

import math
import re
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.core.errors import BenchmarkError
from tasks.evaluation.datasets.adapters.job import ImportJob
from tasks.evaluation.datasets.files import ImageIndex, found, get, matches, need, read_json, read_lines
from tasks.evaluation.datasets.images import ImageDecodeError, decode
from tasks.evaluation.datasets.owner_boxes import Box, tilted, turned, upright, write
from tasks.evaluation.datasets.samples import BenchmarkImageRef, BenchmarkSample, Rejected

Size = tuple[float, float]
Maker = Callable[[float, float], Box]


@dataclass(frozen=True)
class Annotated:
    """The objects of one image; a box is made once the image's size is known."""

    name: str
    size: Size | None
    objects: list[tuple[str, Maker]]


def per_class(root: Path, job: ImportJob) -> Iterator[BenchmarkSample | Rejected]:
    """One question for each class that stands in an image: where are all its objects.

    Options: `form` (voc, coco, dota, yolo, ucas, nwpu); `files`, patterns of the annotations; `images`, patterns of
    the folder of pictures; `names`, class names by number or code; `list`, patterns of a file that names the images
    of the split, without which all are taken; `share`, [n, m]: the n-th of every m images in order of name, where
    the owner gives no split.
    """
    index = ImageIndex(need(root, *job.option("images", ["."])) if job.option("images") else root)
    names: dict[str, str] = job.option("names", {})
    annotated = sorted(FORMS[job.option("form")](_files(root, job)), key=lambda entry: entry.name)
    for entry in _split(root, job, annotated):
        path = index.find(entry.name)
        try:
            size = entry.size or _size(path)
            by_class: dict[str, list[Box]] = defaultdict(list)
            for label, box in entry.objects:
                by_class[names.get(label, label)].append(box(*size))
        except (ImageDecodeError, ValueError) as error:
            yield Rejected(entry.name, "unreadable_image", f"{entry.name}: {error}", str(path))
            continue
        for label, boxes in sorted(by_class.items()):
            yield job.sample(
                f"{entry.name}#{label}",
                [job.image(path)],
                job.question(object=label.replace("_", " ").replace("-", " ")),
                [write(boxes)],
                boxes=tuple(boxes),
                group=entry.name,
                extra={"label": label},
            )


def _files(root: Path, job: ImportJob) -> list[Path]:
    files = [path for pattern in job.option("files") for path in matches(root, pattern)]
    if not files:
        raise BenchmarkError(f"{root}: looked for {' or '.join(job.option('files'))}; {found(root)}")
    return files


def _split(root: Path, job: ImportJob, annotated: list[Annotated]) -> list[Annotated]:
    if job.option("list"):
        listed = {Path(line.split()[0]).stem for line in read_lines(need(root, *job.option("list")))}
        return [entry for entry in annotated if Path(entry.name).stem in listed]
    if job.option("share"):
        which, of = job.option("share")
        return annotated[which::of]
    return annotated


def _size(path: Path) -> Size:
    height, width = decode(BenchmarkImageRef(path=str(path))).shape[1:]
    return width, height


def voc(files: list[Path]) -> Iterator[Annotated]:
    """VOC XML; `bndbox`, or `robndbox` with cx, cy, w, h and an angle in radians, clockwise."""
    for path in files:
        try:
            tree = ET.parse(path).getroot()
        except ET.ParseError as error:
            raise BenchmarkError(f"{path} is not XML: {error}") from error
        width, height = (_number(tree, f"size/{side}") for side in ("width", "height"))
        name = (tree.findtext("filename") or "").strip() or path.stem
        objects = [voc_object(node, path) for node in tree.iter("object")]
        yield Annotated(name, (width, height) if width and height else None, objects)


def voc_object(node: ET.Element, path: Path) -> tuple[str, Maker]:
    """(class, its box once the image's size is known) of one `<object>`."""
    label = (node.findtext("name") or "").strip()
    upright, tilted = node.find("bndbox"), node.find("robndbox")
    if upright is not None:
        sides = [_number(upright, side) for side in ("xmin", "ymin", "xmax", "ymax")]
        return label, _upright(sides)
    if tilted is not None:
        cx, cy, w0, h0, angle = (_number(tilted, key) for key in ("cx", "cy", "w", "h", "angle"))
        return label, lambda w, h: turned(cx, cy, w0, h0, angle, w, h)
    raise BenchmarkError(f"{path}: object {label!r} has neither bndbox nor robndbox")


def _upright(sides: Sequence[float]) -> Maker:
    return lambda w, h: upright(sides, w, h)


def _always(box: Box) -> Maker:
    return lambda w, h: box


def _number(node: ET.Element, path: str) -> float:
    try:
        return float(node.findtext(path) or 0)
    except ValueError:
        return 0.0


def coco(files: list[Path]) -> Iterator[Annotated]:
    """COCO JSON. HIT-UAV calls its lists `annotation` and its names `filename`: both spellings are read."""
    for path in files:
        content = read_json(path)
        where = str(path)
        labels = {entry["id"]: str(entry["name"]) for entry in get(content, "categories", where)}
        by_image: dict[object, list[tuple[str, Maker]]] = defaultdict(list)
        entries = content.get("annotations", content.get("annotation"))
        if entries is None:
            raise BenchmarkError(f"{where}: neither annotations nor annotation; it has {', '.join(content)}")
        for entry in entries:
            box = [float(side) for side in get(entry, "bbox", where)]
            label = labels[get(entry, "category_id", where)]
            by_image[get(entry, "image_id", where)].append((label, _coco_box(box, where)))
        for image in get(content, "images", where):
            name = str(image.get("file_name") or get(image, "filename", where))
            width, height = image.get("width"), image.get("height")
            yield Annotated(name, (width, height) if width and height else None, by_image[image["id"]])


def _coco_box(box: list[float], where: str) -> Maker:
    if len(box) == 5:
        cx, cy, w0, h0, degrees = box
        return lambda w, h: turned(cx, cy, w0, h0, math.radians(degrees), w, h)
    if len(box) != 4:
        raise BenchmarkError(f"{where}: a bbox of {len(box)} numbers")
    x, y, w0, h0 = box
    return lambda w, h: upright((x, y, x + w0, y + h0), w, h)


def dota(files: list[Path]) -> Iterator[Annotated]:
    """DOTA text: x1 y1 ... x4 y4 class difficulty; header lines (`imagesource:`, `gsd:`) are passed over."""
    for path in files:
        lines = [line.split() for line in read_lines(path) if ":" not in line]
        yield Annotated(path.stem, None, [(_dota_label(words, path), _corners(words[:8], path)) for words in lines])


def _dota_label(words: list[str], path: Path) -> str:
    if len(words) < 9:
        raise BenchmarkError(f"{path}: a line of {len(words)} words: {' '.join(words)[:60]}")
    return words[8]


def _corners(words: list[str], path: Path) -> Maker:
    try:
        numbers = [float(word) for word in words]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
    except ValueError as error:
        raise BenchmarkError(f"{path}: eight numbers were expected, got {' '.join(words)}") from error
    return lambda w, h: tilted(points, w, h)


def yolo(files: list[Path]) -> Iterator[Annotated]:
    """YOLO text: class cx cy w h, fractions of the image."""
    for path in files:
        objects = []
        for line in read_lines(path):
            words = line.split()
            if len(words) != 5:
                raise BenchmarkError(f"{path}: class cx cy w h were expected, got {line[:60]!r}")
            cx, cy, w0, h0 = (float(word) for word in words[1:])
            box = upright((cx - w0 / 2, cy - h0 / 2, cx + w0 / 2, cy + h0 / 2), 1, 1)
            objects.append((words[0], _always(box)))
        yield Annotated(path.stem, None, objects)


def ucas(files: list[Path]) -> Iterator[Annotated]:
    """UCAS-AOD text: x1 y1 ... x4 y4 theta x y width height; the class is the folder's name (CAR, PLANE)."""
    for path in files:
        label = path.parent.name.lower()
        objects = [(label, _corners(line.split()[:8], path)) for line in read_lines(path)]
        yield Annotated(f"{path.parent.name}/{path.stem}", None, objects)


def nwpu(files: list[Path]) -> Iterator[Annotated]:
    """NWPU VHR-10 text: `(x1,y1),(x2,y2),class`, classes numbered from 1."""
    for path in files:
        objects = []
        for line in read_lines(path):
            numbers = [int(number) for number in re.findall(r"-?\d+", line)]
            if len(numbers) != 5:
                raise BenchmarkError(f"{path}: (x1,y1),(x2,y2),class were expected, got {line[:60]!r}")
            objects.append((str(numbers[4]), _upright(numbers[:4])))
        yield Annotated(path.stem, None, objects)


FORMS: dict[str, Callable[[list[Path]], Iterator[Annotated]]] = {
    "voc": voc,
    "coco": coco,
    "dota": dota,
    "yolo": yolo,
    "ucas": ucas,
    "nwpu": nwpu,
}
