"""What EarthDial's published answers are known to score, as a rerun of its own scorer and its paper tell it.

Typed in from the spec of this project (earthdial.md): the rerun is its section 5.2, the paper's figures are the last
column of the same tables and those of 5.3. A figure is given to the digits it was printed with.
"""

from dataclasses import dataclass, field

Figures = dict[str, dict[str, str]]
"""Figures by metric by group; the group "" is the file as a whole."""
HALF, QUARTER = "precision@0.5", "precision@0.25"


@dataclass(frozen=True)
class Published:
    """One file of published answers."""

    name: str
    """Folder, which is the task, and name without its ending."""
    n: int
    """Rows that the published scorer counts."""
    rerun: Figures
    """Of EarthDial's scorer, run again over the file."""
    paper: Figures = field(default_factory=dict)
    honest: Figures = field(default_factory=dict)
    """Honest figures that the rerun states besides, by group and metric of the honest protocol."""


def _captions(rouge1: str, longest: str, meteor: str) -> Figures:
    return {"": {"rouge1": rouge1, "rougeL": longest, "meteor": meteor}}


def _boxes(**buckets: tuple[str, str]) -> Figures:
    return {name.removeprefix("all"): {HALF: half, QUARTER: near} for name, (half, near) in buckets.items()}


PUBLISHED = (
    Published(
        "classification/AID",
        3000,
        {"": {"accuracy": "88.47"}},
        {"": {"accuracy": "88.76"}},
        {"": {"accuracy": "88.47"}},
    ),
    Published(
        "classification/TreeSatAI",
        5044,
        {"": {"accuracy": "57.09"}},
        {"": {"accuracy": "56.61"}},
        {"": {"accuracy": "56.34", "balanced_accuracy": "38.3"}, "controls/majority": {"accuracy": "13.3"}},
    ),
    Published(
        "classification/STARCOP_test",
        342,
        {"": {"accuracy": "73.10"}},
        {"": {"accuracy": "77.09"}},
        {"": {"accuracy": "73.10", "f1": "77.9"}},
    ),
    Published(
        "classification/UHI_test",
        216,
        {"": {"accuracy": "51.96"}},
        {"": {"accuracy": "56.77"}},
        {"": {"accuracy": "33.33"}},
    ),
    Published(
        "vqa/RSVQA_LR",
        7057,
        {
            "": {"accuracy": "92.70"},
            "comp": {"accuracy": "92.75"},
            "presence": {"accuracy": "92.59"},
            "rural_urban": {"accuracy": "94.0"},
        },
        {"": {"accuracy": "92.70"}},
        {"by_type/count": {"accuracy": "27.7"}},
    ),
    Published(
        "captioning/NWPU_RESISC45_Captions", 3150, _captions("45.84", "39.96", "80.61"), {"": {"rouge1": "45.84"}}
    ),
    Published("captioning/RSICD_Captions", 1093, _captions("33.77", "27.61", "56.18"), {"": {"rouge1": "33.77"}}),
    Published(
        "detection/NWPU_VHR_10",
        1601,
        _boxes(
            all=("15.37", "39.62"),
            small=("11.7", "29.8"),
            medium=("14.2", "39.7"),
            large=("23.1", "51.4"),
            single=("25.4", "54.8"),
            multiple=("8.9", "29.9"),
        ),
        honest={"": {"precision@0.5": "15.3", "recall@0.5": "13.4"}},
    ),
    Published(
        "detection/ship_dataset_v0",
        411,
        _boxes(
            all=("20.35", "56.49"),
            small=("10.5", "42.4"),
            medium=("22.5", "60.4"),
            large=("46.7", "88.9"),
            single=("24.1", "63.3"),
            multiple=("6.2", "30.9"),
        ),
        {"multiple": {HALF: "26.03"}},
        {"": {"precision@0.5": "20.4", "recall@0.5": "20.3"}},
    ),
    Published("region_captioning/NWPU_VHR_10_test", 985, {"": {"rouge1": "72.14", "meteor": "59.90"}}),
    Published("region_captioning/SRSDD_V1_0_test", 156, {"": {"rouge1": "68.80", "meteor": "62.45"}}),
    Published("change/FMoW", 25, {"": {"accuracy": "88"}}, {"": {"accuracy": "70.03"}}),
    Published("change/xBD_testset_1", 25, {"": {"accuracy": "96"}}, {"": {"accuracy": "96.37"}}),
    Published("change/xBD_object_detection", 25, {"": {QUARTER: "27.7", HALF: "12.5"}}),
    Published("change/LEVIR_MCI", 25, _captions("29.52", "25.42", "79.11"), {"": {"rouge1": "33.78"}}),
)
UHI = "classification/UHI_test"
"""Its published file is small enough to be given here: one answer, and 18 truths twelve times over (MIT)."""
UHI_ANSWER = "urbanization, bareland"
UHI_TRUTHS = (
    *["urbanization, bareland"] * 6,
    *["mostly bareland"] * 3,
    *["urbanization, lack of vegetations"] * 2,
    "urbanization",
    "urbanization and few water bodies",
    "urbanization, few water bodies at bottom, left, and top",
    "few water bodies",
    "water bodies, island at bottom, urbanization at top",
    "water bodies, urbanization at bottom",
    "small park, small water bodies, and urbanization",
)
UHI_ROWS = [{"answer": UHI_ANSWER, "annotation": truth} for truth in UHI_TRUTHS * 12]
WITHOUT_FILES = (
    "UCM, WHU-RS19, BigEarthNet RGB and S2, LCZ, RSVQA-HR; RSITMD, Sydney, UCM, Dubai, MUDS and SYSU captions; "
    "GeoChat, swimming pool and urban tree crown boxes; GeoChat, HIT-UAV, SAR ship, pool, UCAS-AOD and tree crown "
    "regions; the groundings; the other questions of xBD"
)
"""Rows of the rerun whose files were not at hand."""


def tolerance(figure: str) -> float:
    """How far a score may lie from a printed figure: half of its last digit.

    A figure of one digit may have been rounded from one of two: 55 of 245 boxes, 22.449, stand as 22.5.
    """
    digits = len(figure.partition(".")[2])
    return 0.5 * 10**-digits + (0.005 if digits == 1 else 0) + 1e-9
