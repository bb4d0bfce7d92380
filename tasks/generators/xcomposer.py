"""InternLM-XComposer2: which servers answer rightly, and how it is asked.

LMDeploy computes the LoRA of its image tokens up to 0.7.3 and drops it in silence from 0.8.0 on; from 0.10.0 on the
prompt is wrong as well, and from 0.15.0 on the model is gone. A server does not tell its version.
"""

import re

from tasks.core.errors import GenerationError

RIGHT = "0.7.3"
"""The version that the image under infra/model-server holds."""
FIRST_RIGHT, FIRST_WRONG = (0, 4), (0, 8)
_NAME = re.compile(r"xcomposer-?2", re.IGNORECASE)  # 2.5 has the same LoRA
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.\d+)*(?:(?:\.?post|\+).*)?")


def is_xcomposer2(*names: str) -> bool:
    """Whether one of the names of a model is that of an XComposer2."""
    return any(_NAME.search(name) for name in names)


def check_version(version: str | None) -> None:
    """Refuse a version of LMDeploy that would answer wrongly.

    Raises:
        GenerationError: it is missing, no version, or a wrong one.
    """
    advice = f'serve it by LMDeploy {RIGHT} (infra/model-server) and set qa.model.server_version to "{RIGHT}"'
    if version is None:
        raise GenerationError(
            "qa.model.server_version is missing. InternLM-XComposer2 is answered rightly by some versions of LMDeploy "
            f"only, and a server does not tell its version: {advice}"
        )
    match = _VERSION.fullmatch(version)
    if match is None:
        raise GenerationError(f"qa.model.server_version is '{version}', which is no released version; {advice}")
    found = (int(match[1]), int(match[2]))
    if found >= FIRST_WRONG:
        raise GenerationError(
            f"LMDeploy {version} answers InternLM-XComposer2 wrongly: since 0.8.0 it leaves out the LoRA of the image "
            f"tokens, without a word, and since 0.10.0 the prompt is not the model's either; {advice}"
        )
    if found < FIRST_RIGHT:
        raise GenerationError(f"LMDeploy {version} does not know InternLM-XComposer2; {advice}")
