"""Turns of phrase that stand for a whole answer, or around the value that is asked for."""

import re

OPENING = re.compile(
    r"^(?:class and largest(?: area| share)? is|"
    r"(?:answer|it|there|image|this|that|these|they|they all|value|result|all|largest|class) (?:is|are)|"
    r"it show value|it show|show value|value|it|is|in|on|at|during|about|exactly|with|by|show|see|there|"
    r"largest class is|image class is|classes? is|class|taken(?: in| on| by| with)?|dominated by|"
    r"dominated|mostly|count|share|total|share covered|"
    r"number is|number|box show|box is|box|region is|region show|area is|on mean|mean|located|located in|cover|"
    r"for example) "
)
"""What may stand before the value: "it is", "in", "the answer is"."""
AFFIRMED = re.compile(
    r"\s*(?:certainly|definitely|absolutely|of course|surely|sure|indeed|most certainly|"
    r"there (?:certainly|definitely|indeed) (?:is|are)|"
    r"(?:it|they) (?:certainly|definitely|indeed) (?:is|are|does|do))[.!]?\s*",
    re.IGNORECASE,
)
"""Answers that mean yes and have no word of the grammar."""
ONE = re.compile(r"\b(?:one|a single|a single one|exactly one)\b", re.IGNORECASE)
TAG = re.compile(
    r"(?:,\s*(?:right|correct|true|yes|no|eh|am i right|is that so|is that right|is that correct)|,?\s+or not|"
    r"[,.]\s+(?:is|are|does|do|has|have|ca|can|was|were|did|wo|could|would)(?:n['\N{RIGHT SINGLE QUOTATION MARK}]t)? "
    r"(?:it|there|they|that|you|we|one)(?: not)?)\s*\?",
    re.IGNORECASE,
)
"""The end of "There is forest here, isn't there?"."""
ELLIPSIS = re.compile(
    r"yes|true|(?:(?:it|they|there|image|that|this|you|i)? ?(?:is|does|have|can|could|would|show|do)?(?: indeed)?)|"
    r"(?:it |that |this )?(?:is )?(?:true|yes)|(?:it |there )?(?:is )?(?:present )?nearby|"
    r"(?P<no>(?:it |they |there |image |that |this |you |i )?(?:is |does |have |can |do )?(?:not|none|no|neither)"
    r"(?: them| it| image)?(?: is| does| can)?(?: is)?(?: present| see| there| nearby)*|"
    r"(?:does |can )?not see(?: it| them)?|(?:it is )?other way (?:round|around)|"
    r"not both(?: them)?|exactly them(?: does| is| present)*|(?:opposite is true|contrary|opposite)|"
    r"(?:image |it )show none|there is none (?:class|present)|"
    r"(?:C\d+ |it )?(?:is )?(?:located )?elsewhere)"
)
"""The rest of "Yes, there is" and of "No, it does not"."""
