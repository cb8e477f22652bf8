"""Which form of contents vLLM detects of a chat template: texts, or lists of parts.

Facts, of vLLM 0.11.0 and 0.32.0: a template that loops over the content of a
message takes lists, all others texts. The message is known by its name, that of
a loop over ``messages``: a loop within a macro, whose message has another name,
is not seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

LONGEST = 256 << 10
"""Characters of a template that is looked at: real ones have 30,000."""

Format = Literal["openai", "string"]


def detected(template: str) -> Format | None:
    """``openai`` for lists of parts, ``string``, or ``None`` for what is no template, or too long for one.

    >>> detected("{% for m in messages %}{% for part in m['content'] %}{{ part }}{% endfor %}{% endfor %}")
    'openai'
    >>> detected("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    'string'
    """
    import jinja2
    from jinja2 import nodes

    from k2lab.prompt import sandbox

    if len(template) > LONGEST:
        return None
    try:
        tree = sandbox.parsed(template)
        messages = set(_names_of(tree, {"messages"}))
        loops = list(tree.find_all(nodes.For))
        items = {loop.target.name for loop in loops
                 if isinstance(loop.target, nodes.Name) and _base(loop.iter, None) in messages}  # fmt: skip
        contents = {node.target.name for node in tree.find_all(nodes.Assign)
                    if isinstance(node.target, nodes.Name) and _base(node.node, "content") in items}  # fmt: skip
        found = any(_base(loop.iter, "content") in items or _base(loop.iter, None) in contents for loop in loops)
    except (jinja2.TemplateError, RecursionError):
        return None
    return "openai" if found else "string"


def _names_of(tree: object, names: set[str]) -> Iterator[str]:
    """These names, and those that are set from them."""
    from jinja2 import nodes

    yield from names
    assert isinstance(tree, nodes.Template)
    for node in tree.find_all(nodes.Assign):
        if isinstance(node.target, nodes.Name) and _base(node.node, None) in names:
            yield node.target.name


def _base(node: object, key: str | None) -> str | None:
    """The name that an expression takes an element, or ``key``, of."""
    from jinja2 import nodes

    seen = key is None
    while not isinstance(node, nodes.Name):
        if not isinstance(node, nodes.Getattr | nodes.Getitem | nodes.Filter | nodes.Test):
            return None
        field = _field(node)
        if key is None and field is not None:
            return None
        seen = seen or field == key
        node = node.node
    return node.name if seen else None


def _field(node: object) -> str | None:
    """The named field that an expression takes, rather than an element or a slice."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        return node.attr
    named = isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str)
    return str(node.arg.value) if named else None  # type: ignore[attr-defined]
