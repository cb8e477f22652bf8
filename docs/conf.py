"""How the pages are built: Sphinx reads MyST's Markdown, and a link that leads nowhere is an error (``make docs``).

Why Sphinx: it checks links into the API as strictly as links between pages, and
is kept up (9.2 of October 2026), while MkDocs' last release is of August 2024.
"""

import gc
import inspect
import pydoc
import shutil
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.errors import ExtensionError

HERE = Path(__file__).parent
gc.set_threshold(100_000)  # pages are millions of objects, few of them garbage
sys.path[:0] = [str(HERE.parent), str(HERE)]

import generated  # noqa: E402

from k2lab.notebook.fetching import fetched  # noqa: E402

generated.write_api(HERE / "api")

project = "k2lab"
author = "the authors of k2lab"
copyright = f"{author}, Apache-2.0"
release = version = version_of("k2lab")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 3
smartquotes = False  # --flag and '' are meant as they stand

autodoc_member_order = "bysource"
autodoc_mock_imports = ["torch", "transformers", "vllm"]  # an engine's interpreter has them; none is quick to import
autodoc_use_type_comments = False  # there are none
autodoc_default_options = {"members": True}
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!k2lab\.).*")]  # other projects' names: their indexes are not on this machine

html_theme = "furo"
html_title = f"k2lab {release}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_copy_source = False
html_show_sphinx = False


def setup(app):
    """What Sphinx calls first."""
    app.connect("missing-reference", by_another_name)
    app.connect("autodoc-process-signature", with_a_default_that_parses)
    app.connect("doctree-resolved", open_reports)
    app.connect("build-finished", copy_reports)
    app.connect("build-finished", refuse_what_is_fetched)


def open_reports(app, doctree, docname):
    """A link to a rendered report opens it; MyST would have it downloaded."""
    for link in list(doctree.findall(download_reference)):
        if link["reftarget"].endswith(".html"):
            link.replace_self(nodes.reference("", "", *link.children, refuri=link["reftarget"]))


def copy_reports(app, exception):
    """The rendered reports lie beside the page that lists them."""
    for report in (HERE / "reports").glob("*.html"):
        shutil.copy(report, Path(app.outdir, "reports"))


def refuse_what_is_fetched(app, exception):
    """Every page opens without a network, or the build fails."""
    if exception is None:
        for page in sorted(Path(app.outdir).rglob("*.html")):
            if found := fetched(page.read_text(encoding="utf-8")):
                raise ExtensionError(f"{page} would fetch {found}")


def with_a_default_that_parses(app, what, name, obj, options, signature, returns):
    """A field made by a factory has a default that is no Python; with it no type of the signature would be a link."""
    return (signature or "").replace("<factory>", "...") or None, returns


def by_another_name(app, env, node, contnode):
    """A name that is there, and not where the page of its module says: re-exported, an alias, or a type variable."""
    target = node["reftarget"]
    value = pydoc.locate(target) if node.get("refdomain") == "py" and target.startswith("k2lab.") else None
    if value is None:
        return None
    home = f"{value.__module__}.{value.__qualname__}" if hasattr(value, "__qualname__") else target
    domain = env.domains.python_domain
    found = domain.resolve_xref(env, node["refdoc"], app.builder, "obj", home, node, contnode)
    is_for_readers = inspect.isroutine(value) or (inspect.isclass(value) and not value.__name__.startswith("_"))
    return found if found is not None or is_for_readers else contnode
