"""tasks/pages/png.py: a picture comes back as it was, in the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from tasks.core.data_url import data_url
from tasks.pages import png


@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_comes_back_pixel_by_pixel_and_gives_the_same_bytes_again(channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (9, 7, channels)).astype(np.uint8)
    content = png.encode(picture)
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "PNG" and np.array_equal(np.asarray(opened), picture)
    assert png.encode(picture) == content
    assert data_url(content).startswith("data:image/png;base64,iVBOR")
