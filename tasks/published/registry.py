"""The published data sets: which columns hold images and text, what the pixels are, how they are tagged.

From the specification of EarthDial, sections 1.4, 2, 3.2 and 3.3. Folders are matched by the start of their name,
as the published loader does, without regard to case, hyphens and underscores.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tasks.earth.display_sensors import known_sensor
from tasks.vlm.bands import Modality

RGB = (("jpg",), ("png",), ("image",))
FOUR_DATES = (("jpg_A", "jpg_B", "jpg_C", "jpg_D"), ("jpg_A", "jpg_B"), ("jpg_pre", "jpg_post"), *RGB)
TEXT = ("conversations", "conversations_internlm", "conversations_about_localization")
QUESTION = "question"
REFERENCES = ("groundtruth", "groundtruth0", "annotation", "caption0")
"""Columns of the evaluation sets: a question, and the reference or the first of five."""
S2_L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
S2_LCZ = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")


@dataclass(frozen=True)
class Published:
    """One published data set, or a family of them with the same layout."""

    name: str
    stage: int
    prefixes: tuple[str, ...]
    """Starts of folder names."""
    sensor: str
    modality: Modality = "rgb"
    images: tuple[tuple[str, ...], ...] = RGB
    """Alternatives; each lists the columns of the images of a row in order."""
    text: tuple[str, ...] = TEXT
    """Columns that may hold the conversation, the first that is there."""
    bands: tuple[str, ...] = ()
    """In storage order; the sensor's own if empty."""
    scale: float = 1.0
    """Stored number times scale is in the sensor's unit."""
    joined: bool = False
    """The columns are planes of one image, not several images."""
    channels_last: bool = False
    wrapped: bool = False
    """Turns stand in an object under `conversations`."""
    task: str | None = None
    """Task tag that every first question carries."""
    kind: str = "conversation"
    """What is asked, where no task tag says it."""
    published_tag: str | None = None
    """The sensor tag that its rows carry, where it is not that of the sensor."""
    also: tuple[str, ...] = ()
    """Other sensor tags that are right for some rows."""
    own: bool = False
    """Conversations of one's own: brackets that are no tag of ours are text."""

    @property
    def tag(self) -> str:
        """The right sensor tag, whatever the rows say."""
        sensor = known_sensor(self.sensor)
        several = len(self.images[0]) > 1 and not self.joined
        own = sensor.dates_tag if several else sensor.rgb_tag if self.modality == "rgb" else sensor.tag
        return self.published_tag or own or sensor.tag

    @property
    def stored_bands(self) -> tuple[str, ...]:
        """Names of the bands of one image, in storage order."""
        return self.bands or tuple(known_sensor(self.sensor).file_order)


def _hr(name: str, stage: int, *prefixes: str, **more: object) -> Published:
    return Published(name, stage, prefixes, "hr-rgb8", **more)  # type: ignore[arg-type]


def _dates(name: str, *prefixes: str, **more: object) -> Published:
    return Published(name, 2, prefixes, "hr-rgb8", images=FOUR_DATES, **more)  # type: ignore[arg-type]


def _radar8(name: str, *prefixes: str) -> Published:
    return Published(name, 3, prefixes, "sar8", modality="sar", kind="detection")


_INTERNLM = ("conversations_internlm", "conversations")
_ABOUT_PLACE = ("conversations_about_localization", "conversations_internlm", "conversations")
PUBLISHED = (
    # Stage 1: conversations about true colour.
    Published("satlas-s2", 1, ("Satlas_S2",), "s2-rgb8", text=_INTERNLM),
    Published("satlas-l8", 1, ("Satlas_L8",), "l8-rgb8", text=_INTERNLM),
    _hr("naip", 1, "Naip", text=_INTERNLM, wrapped=True),
    # SkyScript mixes sources; the published tag is Sentinel-2's and its resolution is not stated.
    Published("skyscript", 1, ("Skyscript",), "hr-rgb8", published_tag="[s2_rgb_10]", also=("[hr_rgb_0.5]",)),
    # Stage 2: true colour, one date or several.
    _hr("geochat", 2, "GeoChat"),
    Published("bigearthnet-rgb", 2, ("BigEarthNet_RGB", "BigEarthNet_FINAL_RGB"), "s2-rgb8",
              kind="classification"),
    _hr("classification", 2, "PatternNet", "RSI_CB256", "NWPU_RESISC45", "FGSCR", "AID", "UCM", "WHU_19", "WHU_RS19",
        kind="classification"),
    _hr("vqa", 2, "MQVQA", "Sydney_VQA", "UCM_VQA", "RSVQA", kind="vqa"),
    _hr("grounding", 2, "DIOR_RSVG", "RSVG", "NWPU_VHR_10", "Swimming_pool", "urban_tree_crown", "UCAS_AOD",
        kind="detection"),
    _hr("captions", 2, "NWPU_Captions", "NWPU_RESISC45_Captions", "RSICD", "RSITMD", "Sydney_Captions", "UCM_captions",
        task="[caption]", kind="caption"),
    _dates("change", "Change", "Dubai", "LEVIR", "MUDS", "SYSU", task="[changedet]", kind="change"),
    _dates("xbd", "xBD", "Change_xBD", kind="disaster"),
    _dates("fmow", "FMoW", "Change_FMoW", kind="classification"),
    Published("hit-uav", 2, ("HIT_UAV",), "thermal8", "ms", kind="detection"),
    # Stage 3: many bands and radar.
    Published("bigearthnet-ms", 3, ("BigEarthNet_MS", "BigEarthNet_S2"), "sentinel-2", "ms",
              (("tif_ms",),), bands=S2_L2A, scale=1e-4, kind="classification"),
    # So2Sat's rows are tagged as Sentinel-1, and the paper's table says 30 m; the pixels are Sentinel-2's at 10 m.
    Published("lcz", 3, ("LCZ", "rs_LCZ", "So2Sat"), "sentinel-2", "ms", (("tif_ms",),), bands=S2_LCZ,
              kind="classification"),
    Published("treesatai", 3, ("TreeSatAI", "TreeSat"), "hr-rgbi8", "ms", (("rgbi",),),
              task="[treeclassify]", kind="classification"),
    _radar8("ship-v0", "ship_dataset_v0"),
    _radar8("srsdd", "SRSDD"),
    Published("satlas-s1", 3, ("Satlas_S1",), "s1-vh8", "sar", text=_ABOUT_PLACE),
    Published("starcop", 3, ("STARCOP",), "aviris-mag1c", "ms", (("tif_pl", "mag1c"),),
              joined=True, kind="methane"),
    Published("uhi", 3, ("UHI",), "l8-uhi", "ms", (("tif_ms",),), task="[uhi]", kind="uhi"),
    Published("quakeset", 3, ("Quakeset", "Change_SAR"), "sentinel-1", "sar",
              (("jpg_pre", "jpg_post"),), channels_last=True, kind="disaster"),
)  # fmt: skip

LIKE_OURS = tuple(entry for entry in PUBLISHED if entry.name.startswith("satlas-"))
"""Sets of the same kind as our own data set, as an export in EarthDial's layout is named after: conversations about
renderings of one sensor each."""
PATCHES = {
    entry.sensor: entry
    for entry in (
        # Version 2 of the archive stores L2A without the offset of later baselines, and radar in dB.
        Published("bigearthnet-txt", 3, (), "sentinel-2", "ms", bands=S2_L2A, scale=1e-4, own=True),
        Published("bigearthnet-txt", 3, (), "sentinel-1", "sar", bands=("VV", "VH"), own=True),
    )
}
"""By sensor, the patches that BigEarthNet.txt speaks of: a file for each band, in this order where one holds all."""


def normalised_name(name: str) -> str:
    """A folder's name without case, hyphens, underscores and spaces."""
    return re.sub(r"[-_\s]", "", name).lower()


def find(names: Iterable[str]) -> Published | None:
    """The set whose prefix is the longest that begins one of `names`, the last of which counts most."""
    for name in reversed(list(names)):
        fitting = [
            (len(normalised_name(prefix)), entry)
            for entry in PUBLISHED
            for prefix in entry.prefixes
            if normalised_name(name).startswith(normalised_name(prefix))
        ]
        if fitting:
            return max(fitting, key=lambda pair: pair[0])[1]
    return None


def by_name(name: str) -> Published | None:
    """The set of our own name `name`."""
    return next((entry for entry in PUBLISHED if entry.name == name), None)
