"""The import of conversations about files of images: which form, which sensor, which folder of images, which name."""

from collections.abc import Mapping
from pathlib import Path

from tasks.core.errors import ParamsError
from tasks.earth.display_sensors import ALL
from tasks.earth.sensors import Sensor
from tasks.published.arrow_files import SourceError
from tasks.published.importer import ImportResult, dataset_name
from tasks.published.own.chunks import OwnFormat
from tasks.published.own.formats import READERS, Reader
from tasks.published.own.importer import import_own, source_files
from tasks.published.own.owner_forms import RSICAP_KEY, iconqa, rsicap
from tasks.published.own.picture_files import PictureFolder
from tasks.published.registry import Published
from tasks.vlm.bands import Modality
from tasks.vlm.image_file import DeclaredMetadata

FORMS: Mapping[str, Reader] = {**READERS, "rsicap": rsicap, "iconqa": iconqa}
UNDER = {"rsicap": RSICAP_KEY}
"""Form -> first field of the object that its files may wrap their records in."""


def import_conversations(
    form: str,
    path: Path,
    declared: DeclaredMetadata,
    modality: Modality | None = None,
    images: Path | None = None,
    name: str | None = None,
    out: Path = Path("data/imported"),
    strict: bool = False,
    jobs: int = 1,
) -> ImportResult:
    """Import a file or a folder of conversations.

    Args:
        form: one of `FORMS`.
        path: a file, or a folder of files.
        declared: the sensor, and what files of measured pixels may not say of themselves.
        modality: how the images are shown; as all that the sensor has if not given.
        images: folder that image paths start from; that of `path`, and `images` in it, if not given.
        name: of the data set; that of `path` if not given.
        out: where the imports lie.
        strict: refuse rows that would be repaired.
        jobs: chunks worked on at a time.

    Raises:
        SourceError: nothing to read is there.
        ParamsError: no such sensor, or it cannot be shown so.
    """
    sensor = named_sensor(declared.sensor or "")
    entry = Published(form, 0, (), sensor.name, _modality(sensor, modality), own=True)
    files = source_files(path)
    folder = PictureFolder(image_folders(path, images), entry, declared)
    options = (repr(declared),)
    how = OwnFormat(own_name(path, name), form, entry, FORMS[form], folder, strict, options, UNDER.get(form, ""))
    return import_own(files, how, out, jobs)


def named_sensor(name: str) -> Sensor:
    """The sensor that the user names.

    Raises:
        ParamsError: there is none, or no model takes its bands.
    """
    if name not in ALL or ALL[name].cube:
        known = ", ".join(one.name for one in ALL.values() if not one.cube)
        raise ParamsError(f"--sensor {name}: images can be of {known}")
    return ALL[name]


def own_name(path: Path, name: str | None) -> str:
    """What a data set's folder is called.

    Raises:
        ParamsError: it would be no single folder.
    """
    chosen = dataset_name(name or (path.stem if path.is_file() else path.resolve().name))
    if not chosen.strip(".") or "/" in chosen or "\\" in chosen or "\0" in chosen:
        raise ParamsError(f"--name {chosen}: a name without slashes is needed")
    return chosen


def image_folders(path: Path, images: Path | None) -> list[Path]:
    """Where paths of images may start.

    Raises:
        SourceError: the folder that was given is not there.
    """
    if images is not None:
        if not images.is_dir():
            raise SourceError(f"--images {images} is not a folder")
        return [images]
    beside = path.parent if path.is_file() else path
    return [folder for folder in (beside, beside / "images") if folder.is_dir()]


def _modality(sensor: Sensor, modality: Modality | None) -> Modality:
    own: Modality = "sar" if sensor.rgb is None else "rgb" if set(sensor.rgb) >= set(sensor.band_names) else "ms"
    if modality is None or modality == own:
        return own
    if modality == "rgb" and own == "ms" and sensor.rgb_tag and sensor.unit == "reflectance":
        return "rgb"
    raise ParamsError(f"--modality {modality}: {sensor.name} is shown as {own} here")
