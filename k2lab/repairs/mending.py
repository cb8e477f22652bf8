"""A history under repair: each room's repairs in turn until nothing changes, then the problems that are left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from k2lab import families
from k2lab.chat import Message, Request
from k2lab.families import Family
from k2lab.repairs import arguments, blocks, contents, markers, pairing, reasoning
from k2lab.repairs.records import Change, Editor, Problem, Repaired


def repair(request: Request, *, model: str | None = None, growing: bool = False) -> Repaired:
    """Mend what has one right form, and name what is left; repairing twice changes nothing more.

    ``growing``: a conversation that is sent again with each of its turns keeps
    the repaired form of what it had, so that a server finds it in its prefix
    cache: no result is paired by what stands behind its run of results.

    ``model`` is by default the request's own, or Kimi K2. Whether it thinks is
    read from the request: ``chat_template_kwargs`` (``thinking``,
    ``preserve_thinking``) or the API's ``thinking``.

    >>> call = {"id": "call_1", "type": "function", "function": {"name": "search", "arguments": {}}}
    >>> said = {"role": "assistant", "content": "", "tool_calls": [call]}
    >>> result = {"role": "tool", "tool_call_id": "call_1", "content": "nothing"}
    >>> repaired = k2lab.repair(k2lab.Request.of([{"role": "user", "content": "Look it up"}, said, result]))
    >>> [change.field for change in repaired.changes]
    ['content', 'tool_calls[0].function.arguments', 'tool_calls[0].id', 'tool_call_id']
    """
    family = family_of(request, model)
    whole, changes = blocks.with_system(request)
    editor = blocks.lifted(_copied(whole))
    editor.changes[:0] = changes
    count = -1
    while count != len(editor.changes):  # one repair can bring to light what another one mends
        count = len(editor.changes)
        _mend(editor, whole, family, growing=growing)
    mended = _mended(whole, editor)
    added = len(whole.messages) - len(request.messages)
    return Repaired(
        request=mended,
        changes=_ordered(editor),
        problems=tuple(_problems(mended, family)),
        origins=tuple(None if at is None or at < added else at - added for at in editor.origins),
        unsure=tuple(reasoning.unsure(mended.messages, reasoning.mode_of(mended, family))),
    )


def _mend(editor: Editor, request: Request, family: Family, *, growing: bool) -> None:
    blocks.mend(editor)
    contents.mend(editor)
    reasoning.mend(editor, family)
    markers.mend(editor, request.tools)
    arguments.mend(editor, request.tools)
    if family.numbers_ids:
        pairing.renumber(editor, growing=growing)


def renumber(request: Request, *, model: str | None = None, growing: bool = False) -> Repaired:
    """Renumber ids and leave the rest, for an experiment that varies nothing else; problems are those of ids alone."""
    renumbered = family_of(request, model).numbers_ids
    editor = Editor(_copied(request))
    if renumbered:
        pairing.renumber(editor, growing=growing)
    found = tuple(pairing.problems(editor.messages, renumbered=renumbered))
    return Repaired(
        request=_mended(request, editor), changes=_ordered(editor), problems=found, origins=tuple(editor.origins)
    )


def problems(request: Request, *, model: str | None = None) -> Iterator[Problem]:
    """What is wrong with a request as it stands, in the order of its messages, then in what stands beside them."""
    yield from _problems(request, family_of(request, model))


def _problems(request: Request, family: Family) -> Iterator[Problem]:
    messages = request.messages
    found = [
        *blocks.problems(request),
        *pairing.problems(messages, renumbered=family.numbers_ids),
        *arguments.problems(messages),
        *contents.problems(messages, family),
        *reasoning.problems(messages, reasoning.mode_of(request, family)),
        *markers.problems(messages, request.tools, family),
    ]
    yield from sorted(found, key=lambda problem: len(messages) if problem.message is None else problem.message)


def family_of(request: Request, model: str | None) -> Family:
    """Of the model that is named, else the request's own, else Kimi K2."""
    named = request.parameters.get("model")
    name = model or (named if isinstance(named, str) else "")
    return (_named(name) or families.UNKNOWN) if name else families.K2


_named = lru_cache(maxsize=256)(families.of_model)


def _copied(request: Request) -> list[Message]:
    """The messages, to be changed."""
    messages: list[Message] = replace(request, tools=(), parameters={}).to_json()["messages"]
    return messages


def _mended(request: Request, editor: Editor) -> Request:
    return request.with_messages(editor.messages) if editor.changes else request


def _ordered(editor: Editor) -> tuple[Change, ...]:
    return tuple(sorted(editor.changes, key=lambda change: change.message))
