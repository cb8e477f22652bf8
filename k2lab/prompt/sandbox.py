"""A chat template run as transformers runs it: the same sandbox, filters, tags and variables, without transformers.

Facts, from ``apply_chat_template`` of transformers 5.24: blocks are trimmed;
there are loop controls, a ``generation`` tag, ``raise_exception`` and
``strftime_now``; ``tojson`` escapes nothing; fields of a message that are null
are left out; reasoning stands under both of its names; a template gets plain
JSON data alone. Templates come from anywhere: they cannot reach Python's own
objects, or change what they are given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NoReturn

import jinja2
import jinja2.meta
from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

from k2lab.errors import RenderError
from k2lab.prompt.plaindata import plain

REASONING = ("reasoning_content", "thinking", "reasoning")
"""Fields that hold a message's reasoning, the first of them that is there being read."""

TAG = "K2LAB_GOES_ON_HERE "
"""Marks the end of a final message that is to be continued; its space tells whether a template trims texts."""


def fill(
    template: str,
    messages: Iterable[Mapping[str, object]],
    *,
    tools: Sequence[Mapping[str, object]] | None = None,
    variables: Mapping[str, object] | None = None,
) -> str:
    """The text that a template makes of messages and tools; nothing is mutated.

    ``variables`` may hold ``add_generation_prompt`` and ``continue_final_message``.
    Raises whatever the template raises, and :class:`RenderError` for a final
    message that cannot be continued.

    >>> fill("{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}", [{"role": "user", "content": "Hi"}])
    'user: Hi'
    """
    chat = [_message(message) for message in messages]
    given: dict[str, object] = {"documents": None, "add_generation_prompt": False}
    given |= {name: plain(value) for name, value in (variables or {}).items()}
    _check_documents(given["documents"])
    goes_on = given.pop("continue_final_message", False)
    given |= {"messages": chat, "tools": None if tools is None else plain(list(tools))}
    if not goes_on:
        return compiled(template).render(given)
    if given["add_generation_prompt"]:
        raise RenderError(
            "continue_final_message and add_generation_prompt are both set: the first goes on with the last message,"
            " the second opens a new one; set one of them to false"
        )
    text = _mark_end(chat[-1], template, goes_on if isinstance(goes_on, str) else "content")
    return _up_to_mark(compiled(template).render(given), text)


@lru_cache(maxsize=64)
def reads(template: str) -> frozenset[str] | None:
    """The variables that a template reads; ``None`` for one that is not a template."""
    try:
        return frozenset(jinja2.meta.find_undeclared_variables(_environment().parse(template)))
    except jinja2.TemplateError:
        return None


def parsed(template: str) -> nodes.Template:
    """A template's syntax; nothing of it runs. Raises ``jinja2.TemplateSyntaxError``."""
    return _environment().parse(template)


@lru_cache(maxsize=64)
def compiled(template: str) -> jinja2.Template:
    """A template in the sandbox; raises ``jinja2.TemplateSyntaxError``."""
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, "jinja2.ext.loopcontrols"]
    )
    made.filters["tojson"] = _to_json
    made.globals |= {
        "raise_exception": _raise,
        "strftime_now": lambda form: datetime.now().strftime(form),
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    return made


class _Generation(Extension):
    """``{% generation %}…{% endgeneration %}``, which marks what the assistant wrote and prints it as it is."""

    tags = {"generation"}  # noqa: RUF012 - as jinja2 wants it

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_print"), [], [], body).set_lineno(line)

    def _print(self, caller: Callable[[], str]) -> str:
        return caller()


class _Dict:
    """``dict`` without what hangs on Python's own."""

    def __call__(self, *given: Any, **values: object) -> dict[object, object]:
        return dict(*given, **values)

    def fromkeys(self, keys: Iterable[object], value: object = None) -> dict[object, object]:
        return dict.fromkeys(keys, value)


class _Namespace(Namespace):
    """A namespace without names that begin with an underscore: those lead to Python's own objects."""

    def __init__(self, /, *given: Any, **values: object) -> None:
        fields = dict(*given, **values)
        for name in fields:
            _refuse_hidden(name)
        Namespace.__init__(self, fields)

    def __setitem__(self, name: str, value: object) -> None:
        _refuse_hidden(name)
        Namespace.__setitem__(self, name, value)


def _refuse_hidden(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"a namespace of a chat template cannot hold {name!r}: rename it there")


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _message(message: Mapping[str, object]) -> dict[str, Any]:
    """A copy without fields that are null, its reasoning under the two names that templates read."""
    fields = {str(name): plain(value) for name, value in message.items() if value is not None}
    reasoning = next((fields[name] for name in REASONING if fields.get(name) is not None), None)
    return fields if reasoning is None else {"thinking": reasoning, **fields, "reasoning_content": reasoning}


def _check_documents(documents: object) -> None:
    if documents is None:
        return
    if not isinstance(documents, list | tuple) or not all(isinstance(document, dict) for document in documents):
        raise TypeError("documents must be a list of objects, each with a title and a text")


def _mark_end(last: MutableMapping[str, Any], template: str, field: str) -> str:
    """Mark the end of the last message's text; gives the text."""
    text = last.get(field)
    if text is None:
        raise RenderError(f"continue_final_message: the last message has no {field} to go on from")
    fields = [name for name in REASONING if last.get(name) == text] if field in REASONING else [field]
    if not any(name in template for name in fields):
        raise RenderError(f"continue_final_message: the chat template does not read {field}, which is to be continued")
    if isinstance(text, list | tuple):
        part = next((part for part in reversed(text) if "text" in part), None)
        if part is None:
            raise RenderError(f"continue_final_message: {field} of the last message has no text part to go on from")
        text, part["text"] = part["text"], part["text"] + TAG
    else:
        for name in fields:
            last[name] = text + TAG
    return str(text)


def _up_to_mark(rendered: str, text: str) -> str:
    mark = TAG.strip()
    if text.strip() not in rendered or mark not in rendered:
        raise RenderError(
            "continue_final_message: the chat template does not print the last message as it is, so that its end is"
            " not known; leave it out"
        )
    end = rendered.rindex(mark)
    return rendered[:end] if rendered[end : end + len(TAG)] == TAG else rendered[:end].rstrip()
