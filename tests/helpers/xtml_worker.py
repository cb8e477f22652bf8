"""Have vLLM's own ``kimi_k3`` read outputs: ``python xtml_worker.py < CASES > ANSWERS``, by an engine's interpreter.

Each line of the input is ``{"raw_output", "tools", "thinking", "chunk"}``, ``chunk`` being 0 for the whole text at once
or the number of tokens fed at a time; each line of the output ``{"reasoning", "content", "calls"}``. A marker is one
token and every other character, too: the parsers look at no other.
"""

import json
import os
import re
import sys

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # vLLM prints where it likes; standard output is for answers

SPECIAL = ["<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>", "[EOS]"]


class Tokenizer:
    """Markers, then code points."""

    def get_vocab(self):
        """The markers' ids."""
        return {text: number for number, text in enumerate(SPECIAL)}

    def encode(self, text, add_special_tokens=False):
        """Ids of a text."""
        parts = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        return [i for part in parts for i in ([SPECIAL.index(part)] if part in SPECIAL else [ord(c) + 8 for c in part])]

    def decode(self, ids, skip_special_tokens=False):
        """The text of ids."""
        return "".join(SPECIAL[i] if i < len(SPECIAL) else chr(i - 8) for i in ids)


def main():
    """Answer every line."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser.kimi_k3 import KimiK3Parser
    from vllm.reasoning.kimi_k3_reasoning_parser import KimiK3ReasoningParser
    from vllm.tool_parsers.kimi_k3_tool_parser import KimiK3ToolParser

    class Parser(KimiK3Parser):
        reasoning_parser_cls = KimiK3ReasoningParser
        tool_parser_cls = KimiK3ToolParser

    tokenizer = Tokenizer()
    for line in sys.stdin:
        case = json.loads(line)
        user = {"role": "user", "content": ""}
        kwargs = {"thinking": case["thinking"]}
        request = ChatCompletionRequest(
            messages=[user], model="m", tools=case["tools"], tool_choice="auto", chat_template_kwargs=kwargs
        )
        parser = Parser(tokenizer, request.tools, chat_template_kwargs=kwargs)
        read = streamed if case["chunk"] else whole
        print(json.dumps(read(parser, tokenizer, request, case)), file=answers, flush=True)


def whole(parser, tokenizer, request, case):
    """Its answer to the whole text."""
    reasoning, content, calls = parser.parse(case["raw_output"], request, enable_auto_tools=True)
    return {
        "reasoning": reasoning,
        "content": content,
        "calls": [{"name": call.name, "arguments": call.arguments} for call in calls or ()],
    }


def streamed(parser, tokenizer, request, case):
    """Its answer to so many tokens at a time, put together as a client does."""
    ids = tokenizer.encode(case["raw_output"])
    channel = "think" if case["thinking"] else "response"
    prompt = tokenizer.encode(f'<|open|>message role="assistant"<|sep|><|open|>{channel}<|sep|>')
    said = {"reasoning": "", "content": "", "calls": []}
    for start in range(0, len(ids), case["chunk"]):
        part = ids[start : start + case["chunk"]]
        finished = start + case["chunk"] >= len(ids)
        delta = parser.parse_delta(tokenizer.decode(part), part, request, prompt, finished=finished)
        if delta is None:
            continue
        said["reasoning"] += delta.reasoning or ""
        said["content"] += delta.content or ""
        for call in delta.tool_calls or ():
            said["calls"].append({"name": call.function.name, "arguments": call.function.arguments})
    return said


if __name__ == "__main__":
    main()
