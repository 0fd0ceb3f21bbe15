"""How Sphinx makes the site of docs/: bash docs/render.

The pages are also read where they lie, by people and by pytest, so what only a site needs is done
here: README.md and its like become pages, links to files of the repository downloads, and a picture
all four that lie beside it, of which the theme and the width of the page show one.
"""

import importlib
import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

import rank_relax

REPOSITORY = Path(__file__).resolve().parent.parent

project = "rank_relax"
author = "rank_relax contributors"
copyright = "rank_relax contributors"
release = rank_relax.__version__
version = release

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["examples"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shapes"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "rank_relax"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["playground.html"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "rank_relax"},
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

# Pages of the site that lie elsewhere in the repository.
PAGES = {
    "changelog": REPOSITORY / "CHANGELOG.md",
    "contributing": REPOSITORY / "CONTRIBUTING.md",
    "readme": REPOSITORY / "README.md",
    "tests": REPOSITORY / "tests" / "README.md",
}
HERE = {file: name for name, file in PAGES.items()}
# How the pages show one of four pictures where they lie; here the theme and site.css do.
PICTURE = re.compile(r'<picture>.*?<img alt="([^"]+)" src="([^"]+)">.*?</picture>', re.DOTALL)
LINK = re.compile(r"(?<!!)\[([^][]+)\]\(([^():#]+)(#[^()]*)?\)")


def draw_functions(app: Sphinx) -> None:
    """Draws the pictures of the reference, with the library that is installed."""
    sys.path.append(str(app.srcdir / "examples"))
    importlib.import_module("plot_functions").draw(app.srcdir / "reference" / "plots")


def read_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Reads the pages that lie elsewhere, and makes links fit the place where the site has them."""
    page = app.srcdir / docname
    file = PAGES.get(docname, page)
    text = file.read_text() if docname in PAGES else source[0]

    def from_here(link: re.Match[str]) -> str:
        name, path, anchor = link.groups()
        target = (file.parent / path).resolve()
        if not target.exists():
            return link[0]  # brackets of code, or a link that Sphinx will warn of
        if target in HERE:
            target = app.srcdir / f"{HERE[target]}.md"
        elif target.is_dir():
            return name  # the site has no pages of folders
        return f"[{name}]({os.path.relpath(target, page.parent)}{anchor or ''})"

    text = LINK.sub(from_here, text)
    text = PICTURE.sub(lambda found: f"![{' '.join(found[1].split())}]({found[2]})", text)
    if docname in PAGES:
        text = text.replace("](docs/pictures/", "](pictures/")
    source[0] = text


def show_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Puts the dark and the narrow pictures beside each of ours, with a class that shows one."""
    for image in list(doctree.findall(nodes.image)):
        stem, ending = os.path.splitext(image["uri"])
        if not (Path(app.srcdir) / f"{stem}_narrow{ending}").exists():
            continue
        twins = []
        for width, only_width in (("", "only-wide"), ("_narrow", "only-narrow")):
            for theme, only_theme in (("", "only-light"), ("_dark", "only-dark")):
                twin = image.deepcopy()
                twin["uri"] = f"{stem}{width}{theme}{ending}"
                twin["candidates"] = {"*": twin["uri"]}
                twin["classes"] += [only_width, only_theme]
                app.env.images.add_file(app.env.docname, twin["uri"])
                twins.append(twin)
        place = image.parent.index(image)
        image.parent[place : place + 1] = twins


def strip_code(app: Sphinx, doctree: nodes.document) -> None:
    """Leaves out the empty line that ends a doctest on our pages."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.astext().rstrip()
        block[:] = [nodes.Text(block.rawsource)]


def every_name_has_a_place(app: Sphinx, env: object) -> None:
    """Warns of a public name that no page of the reference documents."""
    documented = app.env.domaindata["py"]["objects"]
    for name in rank_relax.__all__:
        if f"rank_relax.{name}" not in documented:
            logging.getLogger(__name__).warning(
                "docs/reference has no place for rank_relax.%s", name
            )


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", draw_functions)
    app.connect("source-read", read_pages)
    app.connect("doctree-read", show_pictures)
    app.connect("doctree-read", strip_code)
    app.connect("env-check-consistency", every_name_has_a_place)
