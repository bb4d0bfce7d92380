"""What the tools answer, and the parameters of theirs that are more than a word."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.dialogue.pairs import State

MOST_TEXT = 4000
"""Characters of a question or an answer."""
Id = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(min_length=1, max_length=MOST_TEXT)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """Base of all: closed and immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FoundScene(Record):
    """One scene of a catalog."""

    scene: str = Field(description="its id, for cut_chip")
    collection: str
    datetime: str = Field(description="when it was taken, UTC")
    cloud: float | None = Field(description="percent of the scene; null where the catalog does not say")
    bbox: list[float] = Field(description="[west, south, east, north] in degrees")
    platform: str | None


class FoundScenes(Record):
    """What a search came back with."""

    catalog: str
    sensor: str
    found: int = Field(description="scenes that meet the search; more than are listed where `limit` is smaller")
    scenes: list[FoundScene] = Field(description="the newest first")
    left_out: list[str] = Field(description="items that meet the search and are not taken, each with why")
    note: str | None = Field(description="which condition emptied the search")


class Chip(Record):
    """A chip that was cut."""

    image: str = Field(description="its id, for ask_model, show_image and verify_pair")
    file: str = Field(description="GeoTIFF on the machine of the server")
    catalog: str
    collection: str
    scene: str
    sensor: str
    datetime: str
    bands: list[str]
    unit: str = Field(description="of its numbers")
    gsd: float = Field(description="metres a pixel")
    crs: str
    transform: list[float] = Field(description="affine a, b, c, d, e, f from (column, row) to metres of `crs`")
    centre: list[float] = Field(description="[longitude, latitude] in degrees")
    size: int = Field(description="pixels along a side")
    nodata: float = Field(description="share of pixels without data in one band or another")
    masks: dict[str, float | None] = Field(
        description="share of the pixels with data that the quality mask calls cloud, shadow, cirrus, snow, water; "
        "null where it cannot tell"
    )
    mask_source: str
    radiometry: str | None = Field(description="what was decided of an offset in the numbers, and by what")
    pictures: list[str] = Field(description="resources: PNG for people")


class HeldImage(Record):
    """An image that can be asked about."""

    image: str = Field(description="its id")
    kind: str = Field(description="chip or file")
    name: str = Field(description="of a file its path below its folder; of a chip its scene")
    sensor: str | None = Field(description="of a chip; of a file, add_image says what it is taken for")
    datetime: str | None
    picture: str = Field(description="resource: PNG for people")


class HeldImages(Record):
    """All of them."""

    images: list[HeldImage]
    more: bool = Field(description="whether there are more files than are listed; add_image takes any by its path")


class OpenedImage(Record):
    """What an image file was taken for."""

    image: str
    name: str
    sensor: str
    recognised: str = Field(description="how its sensor is known")
    note: str | None = Field(description="what was taken for granted")
    bands: list[str]
    width: int
    height: int
    datetime: str | None
    crs: str | None
    pictures: list[str]


class TakenImage(Record):
    """An image as the model was shown it; two files of a radar scene, a polarisation each, are one."""

    name: str
    sensor: str
    recognised: str
    note: str | None
    bands: list[str]
    datetime: str | None


class Declared(Record):
    """What is said of an image that its file may not say."""

    sensor: Annotated[Id | None, Field(description="name of the sensor that took it")] = None
    date: Annotated[Id | None, Field(description="when it was taken, such as 2017-02-16")] = None
    scale: Annotated[Number | None, Field(description="reflectance, dB or power of one step of the stored numbers")] = (
        None
    )
    offset: Annotated[Number | None, Field(description="reflectance, dB or power of a stored zero")] = None
    unit: Annotated[Id | None, Field(description="of a radar's numbers once scaled: dB, power or amplitude")] = None


class AskedImage(Declared):
    """An image of a question."""

    image: Id = Field(description="id of an image that list_images, add_image or cut_chip gave")

    @model_validator(mode="before")
    @classmethod
    def _by_its_id_alone(cls, given: Any) -> Any:
        return {"image": given} if isinstance(given, str) else given


class Answered(Record):
    """An answer of the model."""

    answer: str
    finish: str = Field(description="stop if the model ended it, length if it was cut at the longest")
    outside_limits: bool = Field(description="the answer is the model's limits: it was not taught such a question")
    boxes: dict[str, Any] | None = Field(
        description="GeoJSON FeatureCollection of the boxes in the answer, `corners` as fractions of the last image; "
        "null where there are none"
    )
    images: list[TakenImage] = Field(description="what each image was taken for, in order")
    model: str


class Verified(Record):
    """What the verifier found of a pair."""

    verdict: State
    reason: str = Field(description="why it is contradicted or not checkable; empty where it is supported")
    evidence: list[dict[str, Any]] = Field(description="facts that the verdict rests on")
    facts: str = Field(description="what the pair was held against")


class Described(Record):
    """The model and the server."""

    model: str
    kind: str
    loaded: bool = Field(description="it is loaded at the first question")
    longest_answer: int = Field(description="tokens")
    refuses: bool = Field(description="whether what it was not taught is answered with its limits")
    limits: dict[str, Any] | None = Field(
        description="what it was taught: sensors, kinds of question, examples, scores beside the best control; null "
        "where nobody wrote it down"
    )
    sensors: list[str] = Field(description="of search_scenes")
    catalogs: list[str]
    largest_chip: int = Field(description="pixels along a side")
