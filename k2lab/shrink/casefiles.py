"""A shrunk request as files that others can run: JSON, a line for curl, a test for pytest, text for an issue."""

from __future__ import annotations

import json
from pathlib import Path

from k2lab import kept
from k2lab.findings import CATALOGUE
from k2lab.legible import one_line
from k2lab.shrink.shrinking import Shrunk

MODEL = "MODEL"
"""What stands in place of the model's name, which may be a path or a customer's."""


def write_case(result: Shrunk, folder: Path, *, live: bool) -> dict[str, Path]:
    """Write ``request.json``, ``issue.md``, ``test_case.py`` and, of a live case, ``curl.sh``; returns their paths.

    None of them holds a key, a URL, or the model's name: whoever runs them
    gives ``BASE_URL``, ``MODEL`` and ``OPENAI_API_KEY``. Raises :class:`OSError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "request.json": json.dumps(_without_model(result), ensure_ascii=False, indent=1) + "\n",
        "test_case.py": _test(result, live=live),
        "issue.md": issue_text(result, live=live),
    }
    if live:
        texts["curl.sh"] = _curl(result)
    return {name: kept.write_whole(folder / name, text, private=True) for name, text in texts.items()}


def _without_model(result: Shrunk) -> dict[str, object]:
    return {name: value for name, value in result.data.items() if name != "model"}


def _body(result: Shrunk) -> dict[str, object]:
    """What is sent: greedy and short where the request does not say."""
    return {"model": MODEL, "temperature": 0, "max_tokens": 256, **_without_model(result)}


def _curl(result: Shrunk) -> str:
    body = json.dumps(_body(result), ensure_ascii=True)
    return (
        "#!/bin/sh\n# BASE_URL=http://127.0.0.1:8000/v1 MODEL=name sh curl.sh\n"
        f'sed "s|{MODEL}|$MODEL|" <<\'EOF\' | curl -sS "$BASE_URL/chat/completions"'
        " -H 'content-type: application/json' -H \"authorization: Bearer ${OPENAI_API_KEY:-none}\" --data-binary @-\n"
        f"{body}\nEOF\n"
    )


def _test(result: Shrunk, *, live: bool) -> str:
    fault = result.fault
    head = f'"""{_title(fault)}: this fails while the fault is there."""\n\nimport json\n'
    name = f"test_the_request_does_not_show_{fault.lower().replace(' ', '_')}"
    data = f"REQUEST = json.loads({json.dumps(json.dumps(_without_model(result)))})\n"
    if live:
        return (
            f"{head}import os\n\nimport k2lab\nfrom k2lab.shrink import Live\n\n{data}\n\n"
            f"def {name}():\n"
            '    endpoint = k2lab.Endpoint(os.environ["BASE_URL"], os.environ.get("MODEL"))\n'
            "    faults = Live(endpoint).faults(REQUEST)\n"
            + (
                ""
                if fault.startswith("HTTP ")
                else '    assert not any(name.startswith("HTTP ") for name in faults), faults\n'
            )
            + f"    assert {fault!r} not in faults\n"
        )
    return (
        f"{head}\nfrom k2lab.shrink import Offline\n\n{data}\n\n"
        f"def {name}():\n    assert {fault!r} not in Offline().faults(REQUEST)\n"
    )


def _title(fault: str) -> str:
    entry = CATALOGUE.get(fault)
    return f"{entry.code} {entry.title}" if entry else f"the server answers {fault}"


def issue_text(result: Shrunk, *, live: bool) -> str:
    """Markdown for an issue: what shows, why it hurts, from what it was shrunk, the request, how to run it."""
    entry = CATALOGUE.get(result.fault)
    shown = f"{result.shows.count} of {result.shows.total}"
    request = json.dumps(_without_model(result), ensure_ascii=False, indent=1)
    lines = [
        f"## {_title(result.fault)}",
        f"What shows: {one_line(result.evidence, 300)}",
        f"Why it hurts: {entry.why}." if entry else "",
        f"Shrunk from {result.before} to {result.after}; the fault shows in {shown} looks"
        f"{'' if result.steady else ' (the server is random)'}."
        + (" Words are neutral." if result.neutral else " Words are those of the original: read them before you post."),
        "### Request",
        f"{_fence(request)}json\n{request}\n{_fence(request)}",
        "### To run it",
        _fenced("BASE_URL=http://127.0.0.1:8000/v1 MODEL=name sh curl.sh" if live else "k2lab check request.json"),
        "### Server",
        "Name and version, flags, chat template (revision), tokenizer:",
    ]  # fmt: skip
    return "\n\n".join(line for line in lines if line) + "\n"


def _fence(text: str) -> str:
    """A fence that no line of the text closes."""
    fence = "```"
    while fence in text:
        fence += "`"
    return fence


def _fenced(command: str) -> str:
    return f"```sh\n{command}\n```"
