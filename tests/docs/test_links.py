"""What the documents point to exists: links, headings, files."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.support.programs import ROOT

DOCUMENTS = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("benchmarks/*.md")]
)
FILES = re.compile(r"`((?:\.?\w[\w.-]*/)+[\w.*-]+\.(?:py|lua|md|toml|svg|sh|txt))`")
MADE_BY_SAMPLES = ("store/", "shop/", "news/", "backend/")
"""Folders that a reader makes when following a sample."""


def without_code(text: str) -> str:
    return re.sub(r"(?ms)^```.*?^```$", "", text)


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that the headings of a document have on a forge."""
    headings = re.findall(r"(?m)^#+ (.*)$", without_code(path.read_text("utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document: str) -> None:
    here = ROOT / document
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(here.read_text("utf-8"))):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        file = (here.parent / name).resolve() if name else here
        assert file.exists(), f"{document}: {target}"
        if anchor:
            assert anchor in anchors_of(file), f"{document}: {target}; there are {sorted(anchors_of(file))}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document: str) -> None:
    text = without_code((ROOT / document).read_text("utf-8"))
    for name in FILES.findall(text):
        if name.startswith(("var/", *MADE_BY_SAMPLES)):
            continue
        places = [ROOT, (ROOT / document).parent, ROOT / "schedules", ROOT / "schedules" / "engine"]
        assert any(list(place.glob(name)) for place in places), f"{document}: {name}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_of_manage_py_that_is_named_exists(document: str) -> None:
    named = set(re.findall(r"manage\.py ([a-z][\w-]+)", (ROOT / document).read_text("utf-8")))
    from django.core.management import get_commands

    assert named <= set(get_commands()), f"{document}: {named - set(get_commands())}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_target_of_make_that_is_named_exists(document: str) -> None:
    named = set(
        re.findall(r"`make ([a-z]+)|^\s*make ([a-z]+)", (ROOT / document).read_text("utf-8"), re.MULTILINE)
    )
    targets = set(re.findall(r"(?m)^([a-z-]+):.*##", (ROOT / "Makefile").read_text()))
    assert {first or second for first, second in named} <= targets, document


def test_every_setting_that_the_documents_name_is_read() -> None:
    code = subprocess.run(
        ["grep", "-rhoE", "SCHEDULES_[A-Z_]+", "schedules", "scheduler_project", "tests/settings.py"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    known = set(code.split())
    for document in DOCUMENTS:
        named = set(re.findall(r"SCHEDULES_[A-Z_]*[A-Z]", (ROOT / document).read_text("utf-8")))
        assert all(
            name in known
            or any(word.startswith(name) or (word.endswith("_") and name.startswith(word)) for word in known)
            for name in named
        ), document


def test_the_picture_is_well_formed_and_says_in_words_what_it_shows() -> None:
    picture = ET.parse(ROOT / "docs" / "picture.svg").getroot()
    names = {element.tag.rpartition("}")[2]: element.text for element in picture}
    assert names["title"]
    assert names["desc"]
    assert "prefers-color-scheme: dark" in str(names["style"])
