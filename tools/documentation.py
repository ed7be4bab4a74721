"""What MkDocs is told of this repository (mkdocs.yml names this file as a hook).

Pages outside docs/ become pages of the site too; the index is the table of contents; links from page to page stay
links, links to sources become their paths, and a link that leads nowhere is left for MkDocs to refuse.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs/"
# Pages that lie elsewhere, by the place they have in the site.
OUTSIDE = {
    "README.md": "overview.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "s2m_edge/assets/samples/ATTRIBUTION.md": "samples.md",
    **{
        f"apps/{name}/README.md": f"apps/{name}.md"
        for name in ("web", "desktop", "server", "runner", "ios", "android", "vectors")
    },
}

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^()\s]+)\)")
IMAGE = re.compile(r"(!\[[^\]]*\]\(|<img src=\")([^()\s\"]+)(?=[)\"])")
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


def place_of(path: str) -> str | None:
    """Where a file of the repository is in the site; a folder stands for its README.md. None: not there."""
    for name in (path, f"{path}/README.md"):
        if name in OUTSIDE:
            return OUTSIDE[name]
    return path.removeprefix(DOCS) if path.startswith(DOCS) else None


def source_of(place: str) -> str:
    """Which file of the repository a page of the site is made from."""
    return next((path for path, there in OUTSIDE.items() if there == place), DOCS + place)


def follow(source: str, link: str) -> tuple[str, str]:
    """A relative link of a page as path in the repository and `#anchor`, which may be empty."""
    path, mark, anchor = link.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path)), mark + anchor


def for_the_site(markdown: str, source: str) -> str:
    """A page's text with the links that it has in the site."""
    place = place_of(source)
    assert place is not None, source

    def target(link: str) -> str | None:
        """The link in the site; None: there is such a file, but no such page."""
        if "://" in link or link.startswith(("#", "mailto:")):
            return link
        path, anchor = follow(source, link)
        there = place_of(path)
        if there is not None:
            return posixpath.relpath(there, posixpath.dirname(place) or ".") + anchor
        return None if (ROOT / path).exists() else link

    def link_or_path(found: re.Match[str]) -> str:
        text, link = found.groups()
        new = target(link)
        if new is not None:
            return f"[{text}]({new})"
        path = follow(source, link)[0]
        return text if path in text else f"{text} (`{path}`)"

    def image(found: re.Match[str]) -> str:
        return found[1] + (target(found[2]) or found[2])

    def rewrite(text: str) -> str:
        return LINK.sub(link_or_path, IMAGE.sub(image, text))

    parts, end = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [rewrite(markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, rewrite(markdown[end:])])


def contents_of(index: str) -> list[dict[str, list[dict[str, str]]]]:
    """The site's sections and their pages, title and place, from the headings and links of docs/index.md."""
    headings = list(HEADING.finditer(index))
    ends = [heading.start() for heading in headings[1:]] + [len(index)]
    sections = []
    for heading, end in zip(headings, ends, strict=True):
        links = [
            (title, place_of(follow(f"{DOCS}index.md", link)[0]))
            for title, link in LINK.findall(index[heading.end() : end])
        ]
        sections.append({heading[1]: [{title: place} for title, place in links if place and place.endswith(".md")]})
    return sections


def on_config(config: MkDocsConfig) -> None:
    index = (ROOT / DOCS / "index.md").read_text(encoding="utf-8")
    nav: list[Any] = [{"Contents": "index.md"}, *contents_of(index)]
    config.nav = nav


def on_files(files: Files, config: MkDocsConfig) -> None:
    from mkdocs.structure.files import File

    for path, place in OUTSIDE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    return for_the_site(markdown, source_of(page.file.src_uri))
