"""Which grid of tiles an image gets, and how many tiles that makes: arithmetic alone, known without a pixel.

InternVL 1.5's dynamic resolution, which EarthDial keeps (spec, section 1.2): of all grids of at most so many tiles, the
one whose shape is nearest to the image's.
"""

from functools import cache


@cache
def grids(max_tiles: int, min_tiles: int = 1) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) of between `min_tiles` and `max_tiles` tiles, those of few tiles first.

    Raises:
        ValueError: the bounds admit no grid.
    """
    if not 1 <= min_tiles <= max_tiles:
        raise ValueError(
            f"between {min_tiles} and {max_tiles} tiles there is no grid; give 1 <= min_tiles <= max_tiles"
        )
    sides = range(1, max_tiles + 1)
    found = [(columns, rows) for columns in sides for rows in sides if min_tiles <= columns * rows <= max_tiles]
    return tuple(sorted(found, key=lambda grid: grid[0] * grid[1]))


@cache
def choose_grid(width: int, height: int, size: int, max_tiles: int, min_tiles: int = 1) -> tuple[int, int]:
    """The (columns, rows) nearest in shape to an image; of equally near ones the larger, if the image fills half of it.

    Args:
        width, height: of the image in pixels.
        size: side of a tile.
        max_tiles: most tiles of the grid, without the thumbnail.
        min_tiles: fewest.

    Raises:
        ValueError: the image has no pixel, or the bounds admit no grid.
    """
    if width < 1 or height < 1:
        raise ValueError(f"an image of {width} x {height} pixels cannot be tiled")
    shape = width / height
    best, nearest = (1, 1), float("inf")
    for columns, rows in grids(max_tiles, min_tiles):
        # As in InternVL's `dynamic_preprocess`: grids come by number of tiles, so a tie goes to the larger one only if
        # the image has the pixels for it, more than half of its tiles' area.
        distance = abs(shape - columns / rows)
        fills = width * height > 0.5 * size * size * columns * rows
        if distance < nearest or (distance == nearest and fills):
            best, nearest = (columns, rows), distance
    return best


def count_tiles(width: int, height: int, size: int, max_tiles: int, min_tiles: int = 1, thumbnail: bool = True) -> int:
    """Tiles that `cut_tiles` makes of an image, the thumbnail included: known without a pixel."""
    columns, rows = choose_grid(width, height, size, max_tiles, min_tiles)
    tiles = columns * rows
    return tiles + (thumbnail and tiles > 1)
