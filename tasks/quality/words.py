"""Words of the suites: what people call a class, things that no label knows, numbers, places and shares."""

from collections.abc import Mapping, Sequence

from tasks.quality.cases import Noun

_MANY = "+"
"""Marks a plural."""

_NOUNS: Mapping[str, str] = {
    # Label -> what it may be called, the plainest first; every name means this class and no other of its source.
    "tree cover": "tree cover, trees+, woodland, forest, wooded land",
    "shrubland": "shrubland, shrubs+, bushes+",
    "grassland": "grassland, grass, grassy areas+",
    "cropland": "cropland, crops+, farmland, agricultural land, crop fields+",
    "built-up": "built-up land, buildings+, built-up areas+, urban land",
    "bare ground": "bare ground, bare soil, bare land",
    "snow and ice": "snow and ice, snow or ice",
    "water": "water, open water, surface water, water surfaces+",
    "herbaceous wetland": "herbaceous wetland, wetland, wetlands+",
    "mangrove": "mangrove, mangroves+, mangrove forest",
    "moss and lichen": "moss and lichen, mosses and lichens+",
    "dense vegetation": "dense vegetation, thick vegetation",
    "sparse vegetation": "sparse vegetation, thin vegetation",
    "wet ground": "wet ground",
    "bare or built-up ground": "bare or built-up ground",
    "dense forest": "dense forest, closed forest",
    "open forest": "open forest, sparse forest",
    "open land": "open land",
    "farmland": "farmland, fields+, agricultural land, cropland, farm fields+",
    "forest": "forest, woodland, woods+, forested land",
    "meadow": "meadow, meadows+, meadowland",
    "residential": "residential land, residential areas+, housing, houses+",
    "residential area": "residential land, residential areas+, housing, houses+",
    "industrial area": "industrial land, industrial areas+, industrial sites+",
    "scrub": "scrub, scrubland, bushes+",
    "wetland": "wetland, wetlands+",
    "orchard": "orchards+, orchard land",
    "vineyard": "vineyards+, vineyard land",
    "quarry": "quarries+",
    "railway": "railway, railway lines+, train tracks+, railroad",
    "motorway": "motorways+, freeways+",
    "river": "rivers+",
    "track": "tracks+, dirt roads+",
    "power line": "power lines+, overhead power lines+",
    "wind turbine": "wind turbines+",
    "solar farm": "solar farms+, solar parks+",
    "parking lot": "parking lots+, car parks+",
    "swimming pool": "swimming pools+",
    "storage tank": "storage tanks+",
    "lighthouse": "lighthouses+",
    "stadium": "stadiums+",
    "golf course": "golf courses+",
    "cemetery": "cemeteries+",
    "Broad-leaved forest": "broad-leaved forest, deciduous forest",
    "Coniferous forest": "coniferous forest, conifers+",
    "Mixed forest": "mixed forest",
    "Pastures": "pastures+, pasture",
    "Peatbogs": "peat bogs+, peatbogs+",
    "Water bodies": "water bodies+, bodies of water+",
    "Vineyards": "vineyards+",
    "Non-irrigated arable land": "non-irrigated arable land, rainfed arable land",
    "Complex cultivation patterns": "complex cultivation patterns+",
    "Transitional woodland/shrub": "transitional woodland/shrub",
    "Sea and ocean": "sea and ocean, open sea",
    "forest loss since 2000": "forest loss since 2000",
    "forest gain 2000 to 2012": "forest gain 2000 to 2012, forest gain between 2000 and 2012",
    "flooding": "flooding",
    "new buildings": "new buildings+",
}  # fmt: skip

RELATED: Sequence[frozenset[str]] = (
    # Labels that may well be of one thing: none of them is called absent, or something else, where another is there.
    frozenset({"tree cover", "forest", "dense forest", "open forest", "mangrove", "dense vegetation",
        "sparse vegetation",
               "Broad-leaved forest", "Coniferous forest", "Mixed forest", "orchard", "Transitional woodland/shrub"}),
    frozenset({"shrubland", "scrub", "sparse vegetation", "dense vegetation", "Transitional woodland/shrub"}),
    frozenset({"grassland", "meadow", "sparse vegetation", "dense vegetation", "Pastures", "open land"}),
    frozenset({"cropland", "farmland", "orchard", "vineyard", "Vineyards", "Non-irrigated arable land", "Pastures",
               "Complex cultivation patterns", "dense vegetation", "sparse vegetation", "open land", "meadow",
               "bare or built-up ground"}),
    frozenset({"built-up", "residential", "residential area", "industrial area", "bare or built-up ground", "stadium",
               "open land", "solar farm", "parking lot"}),
    frozenset({"bare ground", "quarry", "bare or built-up ground", "open land", "track", "wet ground"}),
    frozenset({"water", "Water bodies", "river", "Sea and ocean", "wet ground", "wetland", "swimming pool",
        "flooding"}),
    frozenset({"herbaceous wetland", "wetland", "wet ground", "Peatbogs", "mangrove"}),
)  # fmt: skip

INVENTED: Sequence[tuple[Noun, Noun]] = tuple(
    (Noun(one), Noun(many, plural=True))
    for one, many in (
        ("an airport", "airports"), ("an aircraft carrier", "aircraft carriers"), ("a nuclear power station",
        "nuclear power stations"),
        ("a ski jump", "ski jumps"), ("a suspension bridge", "suspension bridges"), ("a volcano",
        "volcanoes"),
        ("a shopping mall", "shopping malls"), ("a cruise ship", "cruise ships"), ("a medieval castle",
        "medieval castles"),
        ("an oil refinery", "oil refineries"), ("a roller coaster", "roller coasters"), ("a container terminal",
        "container terminals"),
        ("a Ferris wheel", "Ferris wheels"), ("a pyramid", "pyramids"), ("a launch pad", "launch pads"),
        ("a racecourse", "racecourses"), ("a cathedral", "cathedrals"), ("a hydroelectric dam", "hydroelectric dams"),
    )
)  # fmt: skip
"""Things that no source of the made-up chips or of the sample knows."""
LANDMARKS = (
    "the Eiffel Tower",
    "the Golden Gate Bridge",
    "Mount Fuji",
    "Heathrow Airport",
    "the Colosseum",
    "the Kremlin",
)

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
PLACES: Mapping[str, Sequence[str]] = {
    "north-west": ("north-west", "northwest", "top left", "upper left", "north-western part", "upper left-hand corner"),
    "north": ("north", "top", "northern part", "upper part", "top middle"),
    "north-east": (
        "north-east",
        "northeast",
        "top right",
        "upper right",
        "north-eastern part",
        "upper right-hand corner",
    ),
    "west": ("west", "left", "western part", "left-hand side"),
    "centre": ("centre", "center", "middle", "central part"),
    "east": ("east", "right", "eastern part", "right-hand side"),
    "south-west": (
        "south-west",
        "southwest",
        "bottom left",
        "lower left",
        "south-western part",
        "lower left-hand corner",
    ),
    "south": ("south", "bottom", "southern part", "lower part", "bottom middle"),
    "south-east": (
        "south-east",
        "southeast",
        "bottom right",
        "lower right",
        "south-eastern part",
        "lower right-hand corner",
    ),
}
OPPOSITE = {
    "north-west": "south-east", "north": "south", "north-east": "south-west", "west": "east",
    "east": "west", "south-west": "north-east", "south": "north", "south-east": "north-west",
}  # fmt: skip
COUNTRIES = ("Germany", "Portugal", "United States of America", "Malaysia", "Kenya", "Brazil", "Australia", "Finland")


def names(label: str) -> tuple[Noun, ...]:
    """What a label may be called, the plainest first; a label that is not in the list by its own name alone."""
    listed = _NOUNS.get(label, label[:1].lower() + label[1:])
    if label not in _NOUNS:
        return (Noun(listed),)
    return tuple(Noun(name.strip().rstrip(_MANY), name.strip().endswith(_MANY)) for name in listed.split(","))


def known(label: str) -> bool:
    """Whether the suites have words for it."""
    return label in _NOUNS


def related(one: str, other: str) -> bool:
    """Whether two labels may be of one thing."""
    if one == other or any(one in group and other in group for group in RELATED):
        return True
    mine, theirs = ({name.lower() for name in names(label)} for label in (one, other))
    return bool(mine & theirs)


def number(value: int) -> str:
    """A small number as a word."""
    return NUMBERS[value] if 0 < value < len(NUMBERS) else str(value)
