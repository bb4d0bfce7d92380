"""A conversation about image files in a terminal: questions read as they are typed, answers shown as they come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tasks.core.errors import EarthloomError
from tasks.core.picture_sizes import MOST_PIXELS
from tasks.core.stage import atomic, write_json
from tasks.vlm.answerer import Answerer
from tasks.vlm.chat import Conversation
from tasks.vlm.draw_boxes import draw
from tasks.vlm.image_file import DeclaredMetadata, ImageFile, open_image
from tasks.vlm.limits import Limits
from tasks.vlm.polarisations import paired

QUICKLOOK = 1024
HELP = (
    "Ask a question; /limits says what the model was taught, /image FILE shows another image, /new begins again, "
    "/quit or Ctrl-D leaves."
)


@dataclass(frozen=True)
class Outputs:
    """Files that the boxes of the answers are written to; None for not."""

    geojson: Path | None = None
    picture: Path | None = None


class Chat:
    """Questions about images, answered as they are typed."""

    def __init__(
        self,
        answerer: Answerer,
        images: Sequence[ImageFile],
        declared: DeclaredMetadata,
        outputs: Outputs,
        max_new_tokens: int,
        limits: Limits | None = None,
        most_pixels: int = MOST_PIXELS,
    ) -> None:
        self.limits = limits
        self.most_pixels = most_pixels
        self.answerer = answerer
        self.declared = declared
        self.outputs = outputs
        self.max_new_tokens = max_new_tokens
        self.given = list(images)
        self.console = Console(highlight=False, soft_wrap=True)
        self._begin()

    def _begin(self) -> None:
        self.conversation = Conversation()
        self.waiting = list(self.given)
        self.features: list[dict[str, Any]] = []

    def ask(self, question: str) -> str:
        """Ask one question; the answer is shown as it comes, its boxes are written where they are wanted. A question
        that the model was not taught is answered with its limits, and is no part of the conversation.

        Raises:
            EarthloomError: the question cannot be asked as it stands; the conversation is as it was before.
        """
        before = self.conversation.copy()
        try:
            self.conversation.ask(question, self.waiting)
            if refused := self.conversation.refusal(self.limits):
                self.conversation = before
                self.console.print(refused, markup=False, style="yellow")
                return refused
            texts = []
            for text in self.answerer.stream(self.conversation.question(self.answerer), self.max_new_tokens):
                texts.append(text)
                self.console.print(text, end="", markup=False)
            self.console.print()
            answer = "".join(texts).strip()
            if not answer:
                raise EarthloomError("the model gave an empty answer; ask in another way")
        except BaseException:
            self.conversation = before
            raise
        self.waiting = []
        self.conversation.answered(answer)
        self._keep_boxes(answer)
        return answer

    def show(self, path: Path) -> None:
        """Open one more image, for the next question."""
        for image in open_all([path], self.answerer, self.declared, self.most_pixels):
            self.waiting.append(image)
            self.console.print(described(image), style="dim")

    def talk(self, lines: Iterator[str]) -> None:
        """Answer one line after another. What is wrong with a line is said, and the next one read."""
        for line in lines:
            command, _, rest = line.strip().partition(" ")
            try:
                if command == "/quit":
                    return
                elif command == "/new":
                    self._begin()
                elif command == "/limits":
                    known = self.limits.lines() if self.limits else ("What the model was taught is not on record.",)
                    self.console.print("\n".join(known), markup=False, style="dim")
                elif command == "/image":
                    self.show(Path(rest.strip()))
                elif command.startswith("/"):
                    self.console.print(HELP, style="dim")
                elif command:
                    self.ask(line.strip())
            except EarthloomError as error:
                self.console.print(f"[red]{type(error).__name__.removesuffix('Error')}:[/red] ", end="")
                self.console.print(str(error), markup=False)

    def _keep_boxes(self, answer: str) -> None:
        found = self.conversation.boxes(answer, self.answerer.box_form)
        if found is None:
            return
        self.features += found["features"]
        everything = {"type": "FeatureCollection", "features": self.features}
        if self.outputs.geojson:
            write_json(self.outputs.geojson, everything)
            self.console.print(f"{len(self.features)} boxes in {self.outputs.geojson}", style="dim")
        if self.outputs.picture:
            last = len(self.conversation.images) - 1
            on_last = {"features": [one for one in self.features if one["properties"]["image"] == last]}
            with atomic(self.outputs.picture) as partial:
                partial.write_bytes(draw(self.conversation.images[last].quicklook(QUICKLOOK), on_last))
            self.console.print(f"drawn in {self.outputs.picture}", style="dim")


def open_all(
    paths: Sequence[Path], answerer: Answerer, declared: DeclaredMetadata, most_pixels: int = MOST_PIXELS
) -> list[ImageFile]:
    """Image files, opened for a model, in the order given; two polarisations of one radar scene are one.

    Raises:
        ImageError: one cannot be.
    """
    shown = answerer.image_size, answerer.max_tiles, declared
    more: dict[str, Any] = {"true_colour": answerer.true_colour, "most_pixels": most_pixels}
    return paired([open_image(path, path.name, *shown, **more) for path in paths])[0]


def described(image: ImageFile) -> str:
    """One line about an image: its sensor and how it was recognised, size and date; and its note, where it has one."""
    date = f", {image.date:%Y-%m-%d}" if image.date else ""
    size = f"{image.width} x {image.height}"
    return f"{image.name}: {image.sensor.name} ({image.recognised.by}), {len(image.bands)} bands, {size}{date}" + (
        f"\n{image.note}" if image.note else ""
    )


def typed(console: Console) -> Iterator[str]:
    """Lines as they are typed, with a prompt before each, until Ctrl-D."""
    while True:
        try:
            yield console.input("[bold green]> [/bold green]")
        except EOFError:
            return
