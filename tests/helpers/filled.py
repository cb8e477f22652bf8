"""Templates filled by k2lab and by transformers, with all kinds of requests: what is to be equal."""

from functools import lru_cache

import jinja2
import pytest

from k2lab.errors import RenderError
from k2lab.prompt import sandbox

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Find <things> & “more”.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}
CALL = {"id": "functions.search:0", "type": "function", "function": {"name": "search", "arguments": '{"q": "ü"}'}}
USER = {"role": "user", "content": " Hi 😀 <b>&\n "}
HISTORY = [
    {"role": "system", "content": "Be brief."},
    USER,
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning": "look"},
    {"role": "tool", "tool_call_id": CALL["id"], "name": "search", "content": "18"},
    {"role": "assistant", "content": "It is 18. ", "thinking": "so", "refusal": None},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b "}]}]
OBJECT_CALL = [
    USER,
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{**CALL, "function": {"name": "search", "arguments": {"q": 1}}}],
    },
    {"role": "tool", "tool_call_id": CALL["id"], "content": [{"type": "text", "text": "18"}]},
]
GOES_ON = {"continue_final_message": True}

CASES = {
    "one ask": ([USER], None, {"add_generation_prompt": True}),
    "one ask without an opening": ([USER], None, {}),
    "tools": ([USER], [SEARCH], {"add_generation_prompt": True}),
    "a history": (HISTORY, [SEARCH], {"add_generation_prompt": True}),
    "arguments as an object": (OBJECT_CALL, [SEARCH], {"add_generation_prompt": True}),
    "content in parts": (PARTS, None, {"add_generation_prompt": True}),
    "not thinking": (HISTORY[:2], None, {"thinking": False, "enable_thinking": False, "add_generation_prompt": True}),
    "documents": ([USER], None, {"documents": [{"title": "t", "text": "x"}]}),
    "documents that are none": ([USER], None, {"documents": ["x"]}),
    "a last message to be continued": (HISTORY, None, GOES_ON),
    "reasoning to be continued": (HISTORY, None, {"continue_final_message": "thinking"}),
    "parts to be continued": (PARTS, None, GOES_ON),
    "nothing to be continued": (HISTORY[:3], None, GOES_ON),
    "both ways to go on": (HISTORY, None, {**GOES_ON, "add_generation_prompt": True}),
}


@lru_cache(maxsize=1)
def by_transformers():
    """What fills a template as transformers does."""
    from tokenizers import Tokenizer

    with pytest.MonkeyPatch.context() as patch:  # a variable that stayed would be passed on to servers
        patch.setenv("TRANSFORMERS_VERBOSITY", "error")
        from transformers import PreTrainedTokenizerFast

    empty = Tokenizer.from_str('{"version":"1.0","model":{"type":"BPE","vocab":{},"merges":[]}}')
    hf = PreTrainedTokenizerFast(tokenizer_object=empty, **SPECIAL)

    def fill(template, messages, tools, variables):
        return hf.apply_chat_template(messages, tools=tools, chat_template=template, tokenize=False, **variables)

    return fill


def ours(template, messages, tools, variables):
    return sandbox.fill(template, messages, tools=tools, variables={**SPECIAL, **variables})


def outcome(fill, *given):
    """The text, or what kind of error it was: the template's own, or another."""
    try:
        return fill(*given)
    except (jinja2.exceptions.SecurityError, jinja2.UndefinedError) as error:
        return type(error).__name__
    except jinja2.TemplateError as error:
        return f"{type(error).__name__}: {error}"
    except (RenderError, ValueError):
        return "a request that cannot be filled in"
    except Exception as error:
        return type(error).__name__
