"""Hooks of mkdocs: what the docs link to outside their folder is part of the site, and so are notebooks.

A link such as `../../benchmarks/README.md` works on a git host as it stands. On the site the file lies under
`repository/`: pages as pages, anything else as the file that it is. Nothing has to be listed: what is linked is there,
and what those pages link to in turn. A notebook becomes a page with the outputs that it was committed with.
"""

import posixpath
import re
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")
DOCS = "docs"
NOT_IN_NAV = InclusionLevel.NOT_IN_NAV
ELSEWHERE = "repository"
"""The site's folder for files that lie outside `docs/`."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of notebooks, and every file outside `docs/` that a page links to."""
    root = Path(config.config_file_path).parent
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            text = notebook_page(root / DOCS / file.src_uri)
            files.append(File.generated(config, _page_of(file.src_uri), content=text))
    pages = [f"{DOCS}/{file.src_uri}" for file in files.documentation_pages()]
    open_pages = [page for page in pages if (root / page).is_file()]  # that of a notebook is no file
    while open_pages:
        page = open_pages.pop()
        for path in LINK.findall((root / page).read_text(encoding="utf-8")):
            linked = _resolved(page, path)
            uri = _site_uri(linked)
            if (root / linked).is_file() and not linked.startswith(f"{DOCS}/") and not files.get_file_from_path(uri):
                files.append(File.generated(config, uri, abs_src_path=str(root / linked), inclusion=NOT_IN_NAV))
                open_pages += [linked] if linked.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn each link that leads to a file of the repository into one that leads to its place on the site."""
    here = page.file.src_uri
    inside = here.startswith(f"{ELSEWHERE}/")
    source = here.removeprefix(f"{ELSEWHERE}/") if inside else f"{DOCS}/{here}"

    def moved(match: re.Match[str]) -> str:
        uri = _page_of(_site_uri(_resolved(source, match[0])))
        return posixpath.relpath(uri, posixpath.dirname(here)) if files.get_file_from_path(uri) else match[0]

    return LINK.sub(moved, markdown)


def notebook_page(path: Path) -> str:
    """Markdown of a notebook: its text, its code, and the outputs that it was committed with."""
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f"![output](data:image/png;base64,{data['image/png'].strip()})")
            else:
                text = output.get("text") or data.get("text/plain", "")
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join([*parts, f"The notebook itself: [{path.name}]({path.name}?raw)\n"])


def _resolved(page: str, link: str) -> str:
    """Where a link of a file of the repository leads, from its root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


def _site_uri(path: str) -> str:
    return path.removeprefix(f"{DOCS}/") if path.startswith(f"{DOCS}/") else f"{ELSEWHERE}/{path}"


def _page_of(uri: str) -> str:
    return uri.removesuffix(".ipynb") + ".md" if uri.endswith(".ipynb") else uri
