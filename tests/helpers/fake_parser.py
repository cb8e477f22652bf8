"""Stand-ins for what an engine's parser worker imports, written into a folder: a parser with known faults.

A call is ``CALL{...}``, the text before it content. In chunks the parser loses every ``!``, and it fails
at ``FAIL``, ends its process at ``DIE``, and does not answer in time at ``SLEEP``.
"""

from __future__ import annotations

from pathlib import Path

VLLM = """
import os, time
from types import SimpleNamespace as Some


class Parser:
    def __init__(self, tokenizer, tools):
        pass

    def meet(self, text):
        if "FAIL" in text:
            raise ValueError("no such output")
        if "DIE" in text:
            os._exit(3)
        if "SLEEP" in text:
            time.sleep(60)

    def extract_tool_calls(self, text, request):
        self.meet(text)
        content, call, arguments = text.partition("CALL")
        calls = [Some(function=Some(name="f", arguments=arguments))] if call else []
        return Some(content=content or None, tool_calls=calls)

    def extract_tool_calls_streaming(self, before, now, delta, *ids):
        self.meet(now)
        return Some(content=delta.replace("!", ""), tool_calls=[])


class ToolParserManager:
    @staticmethod
    def get_tool_parser(name):
        return Parser
"""
REQUEST = """
class ChatCompletionRequest:
    def __init__(self, messages, model, tools):
        if tools == []:
            raise ValueError("tools must not be empty")
        self.tools = tools
"""
TRANSFORMERS = """
class AutoTokenizer:
    @staticmethod
    def from_pretrained(folder, trust_remote_code):
        return AutoTokenizer()

    def encode(self, text, add_special_tokens):
        return [ord(one) for one in text]

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids))
"""


def write(folder: Path) -> None:
    """The packages, for ``PYTHONPATH``."""
    openai = folder / "vllm" / "entrypoints" / "openai"
    openai.mkdir(parents=True)
    for package in (openai, openai.parent, openai.parents[1]):
        (package / "__init__.py").touch()
    (folder / "vllm" / "tool_parsers.py").write_text(VLLM)
    (openai / "protocol.py").write_text(REQUEST)
    (folder / "transformers.py").write_text(TRANSFORMERS)
