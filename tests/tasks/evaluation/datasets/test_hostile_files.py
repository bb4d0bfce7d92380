"""What an importer is given leads to nothing outside its folder, and takes no memory before its size is known."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from tasks.core.errors import BenchmarkError
from tasks.core.inside import OutsideError, inside
from tasks.evaluation.datasets.adapters.archives import _item, _read
from tasks.evaluation.datasets.files import ImageIndex, matches
from tasks.evaluation.datasets.images import ImageDecodeError, decode, stack
from tasks.evaluation.datasets.importer import _Images
from tasks.evaluation.datasets.samples import BenchmarkImageRef
from tests.fixtures.hostile_pictures import npy
from tests.fixtures.image_files import write


@pytest.mark.parametrize(
    "name", ["../x.png", "/etc/passwd", "a/../../x", "C:\\x.png", "\\\\host\\x", "a\0b", "out/x.png"]
)
def test_a_path_that_leaves_its_folder_is_refused_as_written_or_through_a_link(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    with pytest.raises(OutsideError):
        inside(folder, name)
    (folder / "in").symlink_to(folder)
    assert inside(folder, "in/a.png") == folder.resolve() / "a.png"


def test_links_out_of_a_folder_are_not_followed_and_circles_end(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    (folder / "a").mkdir(parents=True)
    secret = write(tmp_path / "secret.png", np.full((3, 8, 8), 7, np.uint8), georeferenced=False)
    (folder / "a" / "own.png").write_bytes(secret.read_bytes())
    (folder / "a" / "again.png").symlink_to(folder / "a" / "own.png")
    (folder / "secret.png").symlink_to(secret)
    (folder / "a" / "up").symlink_to(tmp_path)
    (folder / "a" / "round").symlink_to(folder)
    assert [path.name for path in matches(folder, "**/*.png")] == ["again.png", "own.png"]
    assert ImageIndex(folder).find("own.png") == folder / "a" / "own.png"
    assert not ImageIndex(folder).find("secret.png").is_relative_to(tmp_path / "secret.png")


def test_an_image_that_a_record_names_outside_the_folder_is_not_taken_over(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(tmp_path / "secret.png", np.full((3, 8, 8), 7, np.uint8), georeferenced=False)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    images = _Images(folder, tmp_path / "out", embed=True, check=True)
    for path in (folder / "../secret.png", folder / "link.png", tmp_path / "secret.png"):
        with pytest.raises(ImageDecodeError, match="leads out of set"):
            images.complete(BenchmarkImageRef(path=str(path)))


def test_numbers_of_an_archive_lie_in_that_archive(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = np.ones((2, 4, 4, 2))
    raw = tmp_path / "raw.bin"
    raw.write_bytes(bytes(64))
    path = tmp_path / "set.h5"
    with h5py.File(path, "w") as file:
        file["own"] = np.arange(8)
        file["link"] = h5py.ExternalLink(other, "x")
        file["soft"] = h5py.SoftLink("/link")
        file.create_dataset("raw", (8,), "f8", external=[(str(raw), 0, 64)])
        layout = h5py.VirtualLayout((2, 4, 4, 2), "f8")
        layout[:] = h5py.VirtualSource(other, "x", (2, 4, 4, 2))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("huge", (1, 100_000, 1_000_000), "f4", chunks=(1, 1_000, 1_000))
    with h5py.File(path) as file:
        assert list(_read(_item(file, "own", path), slice(None), path)) == list(range(8))
        for key in ("link", "soft"):
            with pytest.raises(BenchmarkError, match="is a link"):
                _item(file, key, path)
        for key in ("raw", "virtual"):
            with pytest.raises(BenchmarkError, match="lie in other files"):
                _item(file, key, path)
        with pytest.raises(BenchmarkError, match="bytes at most"):
            _read(_item(file, "huge", path), 0, path)
        with pytest.raises(BenchmarkError, match="no 'absent'"):
            _item(file, "absent", path)


@pytest.mark.parametrize("shape", [(1, 100_000, 1_000_000), (3, 8_192, 8_192), (-1, 2, 2)])
def test_an_array_is_asked_for_its_size_before_memory_is_taken(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageDecodeError, match=r"at most|cannot hold|an array of"):
        decode(BenchmarkImageRef(data=npy(shape)))


def test_an_array_of_objects_is_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(ImageDecodeError, match="object"):
        decode(BenchmarkImageRef(path="x.npy"), tmp_path)


def test_a_band_that_points_at_other_files_is_no_band(tmp_path: Path) -> None:
    secret = write(tmp_path / "secret.tif", np.full((1, 8, 8), 7, np.uint8))
    (tmp_path / "B02.tif").write_text(
        '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        f"<SourceFilename>{secret}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(ImageDecodeError):
        stack([tmp_path / "B02.tif"])
