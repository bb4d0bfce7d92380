"""The page: one document with its style and its script inside, and the policy that lets it load nothing else."""

import base64
import hashlib
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent


@cache
def document(folder: Path = FOLDER) -> str:
    """The page of a folder with page.html, page.css, page.js and the scripts that go on from it, whole."""
    page = (folder / "page.html").read_text()
    style, script = _parts(folder)
    return page.replace("/*{{ style }}*/", style).replace("/*{{ script }}*/", script)


@cache
def content_security_policy(folder: Path = FOLDER) -> str:
    """Content security policy of it: this style, this script, this server, and pictures that are in the page itself."""
    style, script = map(_hash, _parts(folder))
    return (
        f"default-src 'none'; style-src '{style}' 'unsafe-hashes'; script-src '{script}'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _parts(folder: Path) -> tuple[str, str]:
    """Style and script; the script is one, in the order of its files' names."""
    return (folder / "page.css").read_text(), "".join(file.read_text() for file in sorted(folder.glob("page*.js")))


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
