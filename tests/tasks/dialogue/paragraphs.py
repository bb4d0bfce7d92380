"""Paragraphs as people write them of aerial images, each sentence with the expert that ought to learn it.

Written for these tests in the manner of RSICap: kind and quality of the image, what is there, where it is.
"""

Paragraph = tuple[tuple[str, str], ...]
PARAGRAPHS: tuple[Paragraph, ...] = (
    (
        ("This is an aerial image of a marina with high resolution.", "theme"),
        ("Twenty-three white boats and two larger ships can be seen.", "object"),
        ("Most of the boats are moored along the wooden piers.", "relation"),
        ("In the upper left corner there is a parking lot with around 40 cars.", "relation"),
        ("The roofs of the sheds are red.", "object"),
        ("Overall, the harbour is busy.", "theme"),
    ),
    (
        ("There are three storage tanks on bare ground.", "theme"),
        ("All of them are white and of the same size.", "object"),
        ("A road runs between the tanks and a row of trees.", "relation"),
        ("The image is taken from a satellite and its contrast is poor.", "theme"),
    ),
    (
        ("This is a panchromatic satellite image.", "theme"),
        ("The image shows a dense residential area.", "theme"),
        ("There are more than one hundred houses and over 30 trees.", "object"),
        ("A river flows through the houses from north to south.", "relation"),
        ("Two bridges cross it.", "relation"),
        ("The picture is a bit blurry.", "theme"),
    ),
    (
        ("This image was taken by a drone on a sunny day.", "theme"),
        ("It contains a baseball field and two tennis courts.", "object"),
        ("The courts are next to the field and are surrounded by a fence.", "relation"),
        ("The parking lot is under construction.", "object"),
        ("A small pond lies to the southeast of the field.", "relation"),
    ),
)
