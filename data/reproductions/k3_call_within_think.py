r"""vLLM's parsers of Kimi K3 lose a call that begins while the reasoning is open.

Run with the interpreter of vLLM 0.32.0:

    python k3_call_within_think.py

Kimi K3 ends its reasoning with ``<|close|>think<|sep|>``, then answers in the channels ``response`` and ``tools``.
Now and then it opens one of them at once. To tell reasoning from the rest the parser waits for the end that never
comes: the call stays in ``reasoning``, and the client gets an answer that ended by itself and calls nothing. With a
response between the two the whole answer has the call, and the stream of the same tokens has not.

The script needs no model: the outputs below are fed to the composed parser that the server uses, whole and a token at a
time. It prints what comes of each and exits with 1 where no call is lost.
"""

import logging
import os
import re
import sys

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
logging.disable(logging.WARNING)

CALL = (
    '<|open|>tools<|sep|><|open|>call tool="get_weather" index="1"<|sep|><|open|>argument key="city" type="string"'
    "<|sep|>Rome<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>"
)
RESPONSE = "<|open|>response<|sep|><|close|>response<|sep|>"
OUTPUTS = {
    "the documented form": f"I call it.<|close|>think<|sep|>{RESPONSE}{CALL}",
    "tools within think": f"I call it.{CALL}",
    "response, then tools, within think": f"I call it.{RESPONSE}{CALL}",
}
PROMPT = '<|open|>message role="assistant"<|sep|><|open|>think<|sep|>'
SPECIAL = ["<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>", "[EOS]"]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {
    "city": {"type": "string"}}, "required": ["city"]}}}  # fmt: skip


class Tokenizer:
    """A token for each marker and for each other character: the parsers look at no others."""

    def get_vocab(self) -> dict[str, int]:
        """The markers' ids."""
        return {text: number for number, text in enumerate(SPECIAL)}

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text."""
        parts = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        return [i for part in parts for i in ([SPECIAL.index(part)] if part in SPECIAL else [ord(c) + 8 for c in part])]

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        """The text of ids."""
        return "".join(SPECIAL[i] if i < len(SPECIAL) else chr(i - 8) for i in ids)


def calls_of(output: str, *, streamed: bool) -> list[str]:
    """The names of the calls that the parser finds in an output."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser import ParserManager

    made = ParserManager.get_parser(
        tool_parser_name="kimi_k3", reasoning_parser_name="kimi_k3", enable_auto_tools=True, model_name="m"
    )
    kwargs = {"thinking": True}
    request = ChatCompletionRequest(
        messages=[{"role": "user", "content": "Rome?"}], model="m", tools=[TOOL], chat_template_kwargs=kwargs
    )
    tokenizer = Tokenizer()
    parser = made(tokenizer, request.tools, chat_template_kwargs=kwargs)
    ids, prompt = tokenizer.encode(output), tokenizer.encode(PROMPT)
    if not streamed:
        _, _, calls = parser.parse(output, request, enable_auto_tools=True, model_output_token_ids=ids)
        return [call.name for call in calls or ()]
    names = []
    for place, token in enumerate(ids):
        last = place + 1 == len(ids)
        delta = parser.parse_delta(tokenizer.decode([token]), [token], request, prompt, finished=last)
        names += [call.function.name for call in (delta.tool_calls if delta else ()) if call.function.name]
    return names


def main() -> int:
    """Each output, both ways."""
    from importlib.metadata import version

    print("vllm", version("vllm"))
    lost = 0
    for name, output in OUTPUTS.items():
        for streamed in (False, True):
            calls = calls_of(output, streamed=streamed)
            lost += not calls
            print(f"{name:36} {'streamed' if streamed else 'whole':10} {', '.join(calls) or 'no call'}")
    return 0 if lost else 1


if __name__ == "__main__":
    sys.exit(main())
