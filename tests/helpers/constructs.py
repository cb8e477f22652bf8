"""What the language of a template consists of, so that few templates stand for all that use no more of it."""

import re

CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
CONSTRUCT = re.compile(
    r"\|\s*\w+|\.\w+\(|\w+\("  # a filter, a method, a function
    r"|\bis(?:\s+not)?\s+\w+|\b(?:if|else|in|not|and|or|recursive|set|with|filter)\b"  # a test, a word
    r"|[{]%-?\s*\w+|\[[^\]]{0,8}:[^\]]{0,8}\]|[-+*/~%<>=!]+"  # a tag, a slice, an operator
)


def constructs(template: str) -> set[str]:
    """Filters, tests, methods, functions, tags, slices and operators of its code."""
    code = TEXT.sub("S", " ".join(CODE.findall(template)))
    return {" ".join(found.split()) for found in CONSTRUCT.findall(code)}


def covering(templates: dict[str, str]) -> list[str]:
    """Names of templates that use every construct that any of them uses: each has one that none before it had."""
    seen, chosen = set[str](), []
    for name, text in templates.items():
        if not constructs(text) <= seen:
            chosen.append(name)
            seen |= constructs(text)
    return chosen
