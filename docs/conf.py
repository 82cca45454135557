# SPDX-License-Identifier: Apache-2.0
"""The site: `make docs`. Pages are the Markdown files here; the reference is made from docstrings (reference_pages.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import annkern
import reference_pages

project = "annkern"
author = "the annkern contributors"
copyright = "the annkern contributors; Apache-2.0"
version = release = annkern.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc", "sphinx_copybutton", "reference_pages"]
root_doc = "index"
language = "en"
nitpicky = True
# A page that another branch adds needs no entry: a toctree takes it by its pattern, which may find nothing.
suppress_warnings = ["toc.empty_glob"]

myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
# Every argument and every result is described; attributes of what others make are no arguments.
numpydoc_validation_checks = {"GL08", "PR01", "PR02", "RT01"}
numpydoc_validation_exclude = {rf"^{name}$" for name in reference_pages.MADE_BY_OTHERS}
default_role = "annkern"

html_theme = "furo"
html_title = f"annkern {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"
highlight_language = "none"
