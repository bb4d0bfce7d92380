"""Pictures opened by Pillow: their size known before a pixel is decoded, upright, as levels that a viewer shows."""

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from tasks.core.errors import EarthloomError
from tasks.core.picture_sizes import MOST_PIXELS as MOST_PIXELS

MOST_SCANS = 100
"""Of a progressive JPEG, each of which is a pass over all its pixels; usual ones have ten."""
FAULTS = (UnidentifiedImageError, OSError, SyntaxError, ValueError, IndexError, TypeError, struct.error, EOFError)
"""What Pillow raises over a file."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what makes the picture upright."""


class PictureError(ValueError):
    """A file that is no picture, or not a whole one; says why."""


class TooManyPixelsError(PictureError):
    """A picture that is larger, by its header, than may be decoded."""


class ReadingStoppedError(EarthloomError):
    """Nobody waits for the image any longer: reading was given up between two blocks of it."""


def never() -> bool:
    """Nobody gives up."""
    return False


def check_pixels(width: int, height: int, most: int) -> None:
    """Refuse a size.

    Raises:
        TooManyPixelsError: it is beyond the limit.
    """
    if width * height > most:
        raise TooManyPixelsError(
            f"{width} x {height} pixels by its header, {width * height:,}, and at most {most:,} are decoded; cut out "
            "what is asked about, or make it smaller"
        )


@contextmanager
def opened_picture(
    source: Path | bytes, name: str, most_pixels: int = MOST_PIXELS, cancelled: Callable[[], bool] = never
) -> Iterator[Image.Image]:
    """A picture whose header alone has been read; its first frame, where it has several.

    Args:
        source: a file, or the bytes of one.
        name: the format that its first bytes tell.
        most_pixels: it may have by its header.
        cancelled: asked before each block of the file; whether nobody waits any longer.

    Raises:
        PictureError: it is damaged, cut short, or too large; also while it is decoded within the context.
        ReadingStoppedError: `cancelled` said so.
    """
    try:
        with _stream(source) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit here is checked below
            _check_before(stream, name, most_pixels)
            if name == "png":
                # By the checksums of its chunks: the missing end of one that is cut short would be black.
                with Image.open(stream, formats=["PNG"]) as picture:
                    check_pixels(*picture.size, most_pixels)
                    picture.verify()
                stream.seek(0)
            with Image.open(_Watched(stream, cancelled), formats=[name.upper()]) as picture:  # type: ignore[arg-type]
                check_pixels(*picture.size, most_pixels)
                yield picture
    except Image.DecompressionBombError as error:
        too_large = str(error).partition(",")[0]
        raise TooManyPixelsError(f"{too_large}; cut out what is asked about, or make it smaller") from error
    except PictureError:
        raise
    except FAULTS as error:
        raise PictureError(str(error).partition(" <")[0] or type(error).__name__) from error


def orientation(picture: Image.Image) -> int:
    """EXIF's word for the way up, 1 where there is none that can be read, as viewers take it."""
    try:
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except FAULTS:
        return 1
    return turned if turned in _TURNS else 1


def tiff_orientation(source: Path | bytes) -> int:
    """The same of a TIFF, which GDAL does not tell."""
    try:
        with _stream(source) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, and of tags that are not read here
            with Image.open(stream, formats=["TIFF"]) as picture:
                return orientation(picture)
    except (*FAULTS, Image.DecompressionBombError):
        return 1


def is_sideways(turned: int) -> bool:
    """Whether rows become columns."""
    return turned >= 5


def upright(picture: Image.Image, turned: int) -> Image.Image:
    """The picture as its orientation says."""
    return picture.transpose(_TURNS[turned]) if turned in _TURNS else picture


def has_alpha(picture: Image.Image) -> bool:
    """Whether something of it may be transparent."""
    return picture.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in picture.info


def levels(picture: Image.Image) -> Image.Image:
    """A loaded picture in mode L, RGB or RGBA: palette looked up, inks as light, of 16 bits the higher 8.

    Inks are turned into light by the plain rule, without the colour profile of a press.
    """
    if picture.mode.startswith("I"):
        wide = np.asarray(picture)
        grey = Image.fromarray((wide >> 8).astype(np.uint8))
        clear = picture.info.get("transparency")
        if isinstance(clear, int):
            grey.putalpha(Image.fromarray(np.where(wide == clear, 0, 255).astype(np.uint8)))
            return grey.convert("RGBA")
        return grey
    wanted = "RGBA" if has_alpha(picture) else "L" if picture.mode in ("L", "1") else "RGB"
    # A conversion to the same mode would be one more copy of all pixels.
    return picture if picture.mode == wanted else picture.convert(wanted)


def planes(picture: Image.Image) -> NDArray[Any]:
    """(bands, H, W) of a picture."""
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(np.moveaxis(array, 2, 0))


class _Watched:
    """A stream that is given up before its next block is read."""

    def __init__(self, stream: IO[bytes], cancelled: Callable[[], bool]) -> None:
        self._stream, self._cancelled = stream, cancelled
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        if self._cancelled():
            raise ReadingStoppedError("the image is not wanted any longer; reading it was given up")
        return self._stream.read(size)


@contextmanager
def _stream(source: Path | bytes) -> Iterator[IO[bytes]]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    else:
        with source.open("rb") as file:
            yield file


def _check_before(stream: IO[bytes], name: str, most_pixels: int) -> None:
    """What Pillow would find out too late: it takes the memory of a whole WebP when it opens one."""
    if name == "webp":
        check_pixels(*_webp_size(stream.read(30)), most_pixels)
    elif name == "jpeg" and (scans := stream.read().count(b"\xff\xda")) > MOST_SCANS:
        raise PictureError(f"a JPEG of {scans} scans, each a pass over all pixels; {MOST_SCANS} at most")
    stream.seek(0)


def _webp_size(head: bytes) -> tuple[int, int]:
    """Width and height by the header of the first chunk (RFC 9649)."""
    kind = head[12:16]
    if len(head) < 30 or kind not in (b"VP8X", b"VP8L", b"VP8 "):
        raise PictureError("a WebP whose first chunk is no image")
    if kind == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
