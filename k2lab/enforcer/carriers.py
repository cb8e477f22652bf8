"""How a grammar is sent to each server.

The requests of each form, read from the servers' code:

- ``vllm`` (0.32.0, xgrammar 0.2.8): ``structured_outputs.structural_tag``, a tag of one format of type ``grammar``.
- ``vllm-0.11`` (0.11.0, xgrammar 0.1.25): ``structured_outputs.grammar``; its tags are of the older form alone,
  ``structures`` and ``triggers``, which hold neither the order of calls nor that there is one.
- ``sglang`` (0.5.23, xgrammar 0.2.7): ``response_format`` of type ``structural_tag`` with ``format``, beside
  ``tool_choice: auto`` and no strict tool (``srt/entrypoints/openai/protocol.py`` and ``serving_chat.py``).
- ``tensorrt-llm`` (that with xgrammar 0.1.25, started with ``guided_decoding_backend: xgrammar``): the same
  ``response_format`` (``serve/openai_protocol.py``); its ``ebnf`` it wraps behind reasoning of its own.

xgrammar 0.1.25 has no ``Regex``: its grammars write each state of a string as a rule, and are compiled more slowly.
"""

from __future__ import annotations

import json

from k2lab.enforcer.options import Form


def has_macros(form: Form) -> bool:
    """Whether a server's grammar engine has ``Regex``."""
    return form in ("vllm", "sglang")


def tag_of(text: str) -> dict[str, object]:
    """A grammar as a structural tag."""
    return {"type": "structural_tag", "format": {"type": "grammar", "grammar": text}}


def request_fields(form: Form, text: str) -> dict[str, object]:
    """The fields of a chat request that carry a grammar to a server."""
    if form == "vllm-0.11":
        return {"structured_outputs": {"grammar": text}}
    tag = tag_of(text)
    if form == "vllm":
        return {"structured_outputs": {"structural_tag": json.dumps(tag, ensure_ascii=False, separators=(",", ":"))}}
    return {"response_format": tag}
