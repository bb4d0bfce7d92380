"""What is repaired, what is refused and what is only counted when published rows are read: one line each.

A repair is made where the registry or the row itself leaves one reading only. Everything else refuses the row.
"""

from dataclasses import dataclass, field

from tasks.core.errors import EarthloomError

REPAIRS = {
    "nested-json": "a JSON string inside JSON was opened",
    "wrapped-object": "turns stood in an object under `conversations`, in a set that does not do so",
    "control-character": "a raw line break or tab stood inside a JSON string",
    "escaped-newline": "the two characters backslash and n became a line break",
    "speaker-name": "user and assistant became human and gpt",
    "unanswered-question": "a last question without an answer was left off",
    "stray-quote": "a quotation mark that nothing opens, before an appended instruction, was left off",
    "retagged": "the sensor tag contradicted the pixels, and became that of the registry",
    "tag-added": "the sensor or task tag was missing",
    "image-slot-added": "one image, and no `<image>`: it was put before the question",
    "image-slot-moved": "one image, and its `<image>` in a later question: it was put into the first",
    "mode-converted": "a palette or an opaque alpha channel became red, green, blue",
    "grey-as-rgb": "one band that was stored three times was taken once",
    "grey-to-rgb": "a grey picture of one's own was taken as three equal bands, as LLaVA does",
    "channels-moved": "channels lay on the other axis than the set says",
    "system-dropped": "a system message was left off: training has one of its own",
}
REJECTS = {
    "missing-text": "no conversation in the row",
    "not-json": "the conversation is not JSON",
    "not-a-conversation": "JSON, but not a list of turns with `from` and `value`",
    "empty-conversation": "a list without a turn",
    "odd-turns": "a question without an answer, and no other pair",
    "wrong-speaker": "human and gpt do not alternate, or somebody else speaks",
    "empty-turn": "a question or an answer without text",
    "unknown-tag": "a tag that is in no registry: it would become ordinary text",
    "image-slots": "another number of `<image>` than of images",
    "image-in-answer": "an answer holds `<image>`",
    "missing-image": "an image column is empty, or only names a file",
    "undecodable": "the bytes are no PNG, JPEG or TIFF that can be read whole",
    "wrong-bands": "another number of bands than the set has",
    "wrong-type": "numbers of another type than the set has",
    "size-mismatch": "planes of one image differ in size",
    "constant-image": "every pixel of every band is the same",
    "no-data": "no pixel is a number",
    "out-of-range": "values that the unit of the set cannot have",
    "not-text": "bytes that are no UTF-8, or half a surrogate pair",
    "duplicate-field": "a field that stands twice in one object",
    "duplicate-row": "the same record as an earlier one, byte by byte",
    "too-large": "a record, a data URL, a file or a picture beyond what is read into memory",
    "text-only": "no image: a sample of a mixture shows one",
    "remote-image": "an image at an address: nothing is fetched",
    "unsafe-path": "an image path that is absolute, climbs with `..`, or leads out through a link",
    "ambiguous-image": "an image path that two files answer to",
    "unsupported": "video, audio, tool calls, or pairs of preferred and rejected answers",
    "other-split": "a row of a split that was not asked for",
}
FLAGS = {
    "box-out-of-range": "a box leaves 0 to 100",
    "box-malformed": "double brackets that hold no box of 4 or 5 numbers",
    "partial-nodata": "some pixels are no numbers; they are stored as no data",
    "constant-band": "one band of several is constant",
    "power-to-dB": "linear radar power became dB",
    "exif-orientation": "the camera says that the picture lies on its side; it is upright here, as viewers show it",
}


class RowError(EarthloomError):
    """One row cannot be used: a code of `REJECTS` (or of `REPAIRS` under --strict) and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass
class Notes:
    """What was done to one row and what was seen in it."""

    strict: bool
    repairs: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)

    def repair(self, kind: str) -> None:
        """Count a repair.

        Raises:
            RowError: repairs are not wanted.
        """
        if self.strict:
            raise RowError(kind, f"would need a repair that --strict refuses: {REPAIRS[kind]}")
        self.repairs.add(kind)

    def flag(self, kind: str) -> None:
        """Count something that is kept as it is."""
        self.flags.add(kind)
