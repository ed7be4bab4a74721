"""docs/own-app.md: its code is that of the libraries' own tests, and the package at the root is the app's."""

from __future__ import annotations

import re

import pytest

from pages import ROOT, blocks, text_of

PAGE = ROOT / "docs" / "own-app.md"
EXAMPLES = {
    "swift": "apps/ios/S2MEdgeKit/Tests/S2MEdgeKitTests/OwnAppTests.swift",
    "kotlin": "apps/android/logic/src/test/kotlin/org/s2medge/logic/OwnAppTest.kt",
}


@pytest.mark.parametrize("language", EXAMPLES)
def test_the_example_is_what_the_library_tests(language: str):
    tested = text_of(ROOT / EXAMPLES[language]).partition("shows these lines.\n")[2].partition("// Up to here.")[0]
    assert tested.strip() in [block.strip() for block in blocks(PAGE, language)]


@pytest.mark.parametrize("language", EXAMPLES)
def test_the_example_is_short(language: str):
    assert all(len(block.splitlines()) <= 12 for block in blocks(PAGE, language))


def test_the_package_at_the_root_is_that_of_the_app():
    def settled(text: str) -> str:
        """Without comments, the test target, places and white space."""
        text = re.sub(r"//.*|\.testTarget\(.*\),?|path: .*", "", text)
        return re.sub(r"\s|,(?=\s*[\])])", "", text)

    root, app = ROOT / "Package.swift", ROOT / "apps" / "ios" / "S2MEdgeKit" / "Package.swift"
    assert settled(text_of(root)) == settled(text_of(app))
    (place,) = re.findall(r'path: "([^"]+)"', text_of(root))
    assert ROOT / place == app.parent / "Sources" / "S2MEdgeKit"
    assert (ROOT / place).is_dir()
    versions = [text_of(path).splitlines()[0] for path in (root, app)]
    assert versions[0] == versions[1]


def test_the_runtime_is_of_the_version_that_the_app_uses():
    (named,) = re.findall(r"executorch-android:([0-9.]+)", text_of(PAGE))
    catalogue = text_of(ROOT / "apps" / "android" / "gradle" / "libs.versions.toml")
    assert f'executorch = "{named}"' in catalogue
