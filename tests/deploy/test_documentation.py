"""The documentation as a site: its links, its contents, and that it needs no other host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pages import PAGES, ROOT, name_of, text_of

SPECIFICATION = spec_from_file_location("documentation", ROOT / "tools" / "documentation.py")
assert SPECIFICATION is not None
assert SPECIFICATION.loader is not None
documentation = module_from_spec(SPECIFICATION)
SPECIFICATION.loader.exec_module(documentation)

# What a browser fetches of itself, by element; a link to follow (`a`) is none of it.
FETCHED = {"src", "srcset", "poster", "data"}


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("docs/guard.md", "[gates](contract.md#parity-gates)", "[gates](contract.md#parity-gates)"),
        ("docs/models/a.md", "[int8](../int8.md)", "[int8](../int8.md)"),
        ("docs/apps.md", "[web](../apps/web/README.md)", "[web](apps/web.md)"),
        ("apps/web/README.md", "[guard](../../docs/guard.md)", "[guard](../guard.md)"),
        ("apps/web/README.md", "![x](../../docs/images/x.webp)", "![x](../images/x.webp)"),
        ("apps/web/README.md", '<img src="../../docs/images/x.webp">', '<img src="../images/x.webp">'),
        ("apps/ios/README.md", "[picture](../vectors#a-guard)", "[picture](vectors.md#a-guard)"),
        ("README.md", "[new](CHANGELOG.md)", "[new](changelog.md)"),
        ("docs/index.md", "[there](https://example.org/a.md)", "[there](https://example.org/a.md)"),
    ],
)
def test_links_from_page_to_page_stay_links(source: str, link: str, expected: str):
    assert documentation.for_the_site(link, source) == expected


def test_a_link_to_a_source_becomes_its_path():
    text = "[its schema](../s2m_edge/schemas/spec-1.json), [`targets/base.py`](../targets/base.py)"
    expected = "its schema (`s2m_edge/schemas/spec-1.json`), `targets/base.py`"
    assert documentation.for_the_site(text, "docs/contract.md") == expected


def test_a_link_that_leads_nowhere_is_left_for_the_generator_to_refuse():
    for link in ("[x](../no/such/file.py)", "[x](no-such-page.md)"):
        assert documentation.for_the_site(link, "docs/contract.md") == link


def test_code_stays_as_it_is():
    block = "```python\nrow[0](../targets/base.py)\n```"
    assert documentation.for_the_site(block, "docs/contract.md") == block


def test_the_index_is_the_table_of_contents():
    sections = documentation.contents_of(text_of(ROOT / "docs" / "index.md"))
    listed = [place for section in sections for pages in section.values() for page in pages for place in page.values()]
    ours = [documentation.place_of(name_of(path)) for path in PAGES if path.name != "index.md"]
    assert sorted(listed) == sorted({*ours, *documentation.OUTSIDE.values()})


def build(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("material", reason="MkDocs is not installed; make setup does it")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(place), *arguments]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The built site."""
    place = tmp_path_factory.mktemp("site")
    done = build(place)
    assert done.returncode == 0, done.stderr
    return place


class References(HTMLParser):
    """What a page of HTML names: `fetched` by the browser itself, `followed` by its reader."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.followed: list[str] = []
        self.feed(text_of(page))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and (name in FETCHED or (name == "href" and tag == "link")):
                self.fetched.append(value)
            elif value and name == "href":
                self.followed.append(value)


def test_no_page_fetches_from_another_host(site: Path):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    fetched = {reference for page in pages for reference in References(page).fetched}
    assert any(reference.endswith(".css") for reference in fetched), "nothing was looked at"
    assert [reference for reference in fetched if urlsplit(reference).netloc] == []
    styles = "".join(text_of(path) for path in site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import )[\"']?(?:https?:)?//[^)\"']*", styles) == []


def test_everything_that_a_page_names_is_there(site: Path):
    """Also what MkDocs does not look at: pictures in HTML."""
    for page in site.rglob("*.html"):
        found = References(page)
        for reference in map(urlsplit, found.fetched + found.followed):
            if not (reference.scheme or reference.netloc) and reference.path and page.name != "404.html":
                named = page.parent / unquote(reference.path)
                assert named.exists(), f"{page.relative_to(site)}: {reference.geturl()}"


@pytest.mark.parametrize("link", ["no-such-page.md", "contract.md#no-such-heading", "../no/such/file.py"])
def test_a_link_that_leads_nowhere_ends_the_build(link: str, tmp_path: Path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    with (tmp_path / "docs" / "guard.md").open("a", encoding="utf-8") as page:
        page.write(f"\n[nowhere]({link})\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {ROOT}/mkdocs.yml\ndocs_dir: docs\nhooks: [{ROOT}/tools/documentation.py]\n", encoding="utf-8"
    )
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    assert link.split("#")[-1] in done.stderr
