"""Every picture of the pages is there for light and for dark pages, and for narrow ones."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURES = REPOSITORY / "docs" / "pictures"
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
PROGRAMS = [
    *(REPOSITORY / "docs" / "examples").glob("*.py"),
    *(REPOSITORY / "benchmarks").glob("*.py"),
]
SOURCES = {  # what a page asks for, in this order, and what it is given
    "(max-width: 600px) and (prefers-color-scheme: dark)": "_narrow_dark",
    "(max-width: 600px)": "_narrow",
    "(prefers-color-scheme: dark)": "_dark",
}


def shown(page: Path) -> list[Path]:
    """The pictures of a page that are for wide and light ones."""
    found = re.findall(r'<img alt="[^"]+" src="([^"]+)">', page.read_text())
    return [(page.parent / source).resolve() for source in found]


def test_every_picture_has_a_dark_and_a_narrow_one(subtests: pytest.Subtests) -> None:
    for page in PAGES:
        with subtests.test(page=page.name):
            text = page.read_text()
            assert "](pictures/" not in text, "a picture for light and wide pages alone"
            blocks = re.findall(r"<picture>.*?</picture>", text, re.DOTALL)
            assert len(blocks) == len(shown(page))
            for block, picture in zip(blocks, shown(page), strict=True):
                sources = re.findall(r'<source media="([^"]+)" srcset="([^"]+)">', block)
                files = [(media, (page.parent / source).resolve()) for media, source in sources]
                assert files == [
                    (media, picture.with_stem(picture.stem + suffix))
                    for media, suffix in SOURCES.items()
                ]
                assert all(file.exists() for _, file in files)


def test_a_page_shows_every_picture() -> None:
    wide = {picture for page in PAGES for picture in shown(page)}
    used = {
        picture.with_stem(picture.stem + suffix)
        for picture in wide
        for suffix in ("", *SOURCES.values())
    }
    assert set(PICTURES.iterdir()) == used


def test_a_program_draws_every_picture() -> None:
    programs = {program.stem: program.read_text() for program in PROGRAMS}
    for picture in {picture for page in PAGES for picture in shown(page)}:
        drawn = any(picture.name in text for text in programs.values())
        assert drawn or picture.stem in programs, picture  # train_NAME.py --figure train_NAME.png
