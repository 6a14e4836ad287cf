"""The pictures of the pages: each page has one, light and dark; each is shown; none is too large."""

from __future__ import annotations

import re
import struct

from tests.support.admin_pages import PICTURED, names_of_pictures
from tests.support.programs import ROOT

FOLDER = ROOT / "docs" / "pictures"
MOST = 3_000_000
"""Bytes, of all."""


def shown() -> dict[str, set[str]]:
    """Return the pictures that each document shows, by their place in the repository."""
    found = {}
    for document in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        names = re.findall(r'(?:src|srcset)="([^"]+\.png)"', document.read_text("utf-8"))
        found[document.name] = {str((document.parent / name).resolve().relative_to(ROOT)) for name in names}
    return found


def test_every_picture_that_is_shown_is_there() -> None:
    for document, names in shown().items():
        missing = [name for name in names if not (ROOT / name).exists()]
        assert not missing, document


def test_every_page_has_its_pictures_and_there_are_no_others() -> None:
    drawn = {path.name for path in FOLDER.iterdir()}
    assert drawn == set(names_of_pictures()), "make screenshots draws them"


def test_every_picture_is_shown() -> None:
    everywhere = set().union(*shown().values())
    assert everywhere >= {f"docs/pictures/{name}" for name in names_of_pictures()}


def test_every_picture_says_in_words_what_it_shows() -> None:
    for document in ("README.md", "docs/admin.md"):
        pictures = re.findall(r"<img [^>]*>", (ROOT / document).read_text("utf-8"))
        assert pictures
        assert all(re.search(r'alt="[^"]{15,}"', picture) for picture in pictures), document


def test_every_page_is_described() -> None:
    text = (ROOT / "docs" / "admin.md").read_text("utf-8")
    for page in PICTURED:
        assert f"pictures/{page.name}-light.png" in text, page.name


def test_they_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    assert sum(sizes.values()) < MOST
    for path in FOLDER.iterdir():
        width, _height, _depth, kind = struct.unpack(">IIBB", path.read_bytes()[16:26])
        assert kind == 3, f"{path.name} has no palette"
        assert width in (1280, 390), path.name
