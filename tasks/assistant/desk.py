"""What the tools of one server share."""

from dataclasses import dataclass
from pathlib import Path

from tasks.assistant.catalogs import Catalogs
from tasks.assistant.chips import LARGEST, Chips
from tasks.assistant.images import Library
from tasks.assistant.model import Model, ModelOptions
from tasks.assistant.pairs import Verifier
from tasks.assistant.records import Described
from tasks.earth.luminance import LuminanceParams
from tasks.earth.sensors import SENSORS


@dataclass(frozen=True)
class Reach:
    """What a server may reach, and how much it may write."""

    images: tuple[Path, ...]
    """Folders whose files may be asked about."""
    out: Path
    """Folder that chips are written to."""
    pairs: tuple[Path, ...]
    """Tables of conversations, or folders of them, that pairs are verified against."""
    most_bytes: int
    """Of all chips together."""
    max_items: int
    max_wait: float
    max_gsd_ratio: float
    luminance: LuminanceParams


class Desk:
    """Catalogs, chips, images, model and verifier of one server."""

    def __init__(self, reach: Reach, model: ModelOptions) -> None:
        """Nothing is opened or loaded yet.

        Raises:
            EarthloomError: the model's folder is no checkpoint.
        """
        self.catalogs = Catalogs(reach.max_items, reach.max_wait)
        self.chips = Chips(self.catalogs, reach.out, reach.most_bytes, reach.max_gsd_ratio, reach.luminance)
        self.library = Library(self.chips, reach.images)
        self.verifier = Verifier(self.chips, reach.pairs)
        self.model = Model(model, self.library)

    def close(self) -> None:
        """End what was started."""
        self.model.close()
        self.catalogs.close()

    def describe(self) -> Described:
        """The model, and what can be reached."""
        model = self.model
        return Described(
            model=model.options.checkpoint.as_posix(),
            kind=model.kind,
            loaded=model.loaded,
            longest_answer=model.options.max_new_tokens,
            refuses=model.options.refuses,
            limits=model.limits.for_people() if model.limits else None,
            sensors=list(SENSORS),
            catalogs=self.catalogs.names,
            largest_chip=LARGEST,
        )
