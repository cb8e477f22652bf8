"""Make prompts as this release of vLLM does, without weights: ``python prompt_worker.py < CASES > ANSWERS``.

Run by an engine's interpreter, by path; it needs nothing of k2lab. It calls the functions that the release's server
calls: what reads the request, what finds the form of contents, what parses messages, what applies the template.

Each line of the input is ``{"id", "folder", "request"}``: a model folder whose tokenizer code may be run, and a chat
request. Each line of the output is ``{"id", "text", "form", "error"}``, ``form`` being what the contents were turned
into: ``string`` or ``openai``.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # vLLM prints where it likes; standard output is for answers

HOMES = ("vllm.renderers.hf", "vllm.entrypoints.chat_utils")
REQUESTS = ("vllm.entrypoints.openai.chat_completion.protocol", "vllm.entrypoints.openai.protocol")
TOKENIZERS = ("vllm.tokenizers", "vllm.transformers_utils.tokenizer")


class ModelConfig(SimpleNamespace):
    """What these functions ask of the configuration of a text model; what else they ask for is ``None``."""

    def __getattr__(self, name: str) -> None:
        return None


def first_of(homes: tuple[str, ...], *names: str) -> Any:
    """A function of the first of these modules that has one of these names."""
    for home in homes:
        try:
            module = importlib.import_module(home)
        except ImportError:
            continue
        for name in names:
            if hasattr(module, name):
                return getattr(module, name)
    raise ImportError(f"none of {', '.join(homes)} has {' or '.join(names)}")


def call(function: Callable[..., Any], **known: Any) -> Any:
    """Call a function with what it names of ``known``."""
    named = inspect.signature(function).parameters
    return function(**{name: value for name, value in known.items() if name in named})


def prompt_of(folder: str, sent: dict[str, Any]) -> tuple[str, str]:
    """The prompt of a request, and the form of its contents."""
    request = first_of(REQUESTS, "ChatCompletionRequest")(model="m", **sent)
    tokenizer = first_of(TOKENIZERS, "get_tokenizer")(folder, trust_remote_code=True)
    tools = None if request.tools is None else [tool.model_dump() for tool in request.tools]
    config = ModelConfig(
        model=folder,
        tokenizer=folder,
        trust_remote_code=True,
        is_multimodal_model=False,
        hf_config=SimpleNamespace(model_type="llama"),
        hf_text_config=SimpleNamespace(model_type="llama"),
    )
    form = call(
        first_of(HOMES, "resolve_chat_template_content_format"),
        chat_template=None,
        tools=tools,
        given_format="auto",
        tokenizer=tokenizer,
        model_config=config,
    )
    conversation = call(
        first_of(HOMES, "parse_chat_messages"),
        messages=request.messages,
        model_config=config,
        tokenizer=tokenizer,
        content_format=form,
    )[0]
    apply = first_of(HOMES, "safe_apply_chat_template", "apply_hf_chat_template")
    text = apply(
        tokenizer=tokenizer,
        conversation=conversation,
        chat_template=None,
        tools=tools,
        model_config=config,
        add_generation_prompt=request.add_generation_prompt,
        continue_final_message=request.continue_final_message,
        documents=request.documents,
        **({"tokenize": False} if "tokenize" in inspect.signature(apply).parameters else {}),
    )
    return (text if isinstance(text, str) else text[0]), form


def main() -> None:
    """Answer every line of standard input."""
    for line in sys.stdin:
        case = json.loads(line)
        text, form, error = None, "", ""
        try:
            text, form = prompt_of(case["folder"], case["request"])
        except Exception as fault:
            error = f"{type(fault).__name__}: {fault}"
        told = {"id": case["id"], "text": text, "form": form, "error": error}
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
