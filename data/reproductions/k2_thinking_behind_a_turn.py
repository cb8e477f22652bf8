r"""vLLM streams the reasoning of Kimi-K2-Thinking as content, from the second turn on.

Run with the interpreter of vLLM 0.32.0:

    python k2_thinking_behind_a_turn.py

A stream asks its reasoning parser whether the reasoning has ended within the prompt: ``is_reasoning_end`` looks for
``</think>`` from the prompt's end backwards and stops at a token that begins or ends a turn. ``kimi_k2_config`` names
no such token (``turn_boundary_tokens``), so the search runs through the whole conversation. The template of K2-Thinking
writes ``</think>`` into every earlier turn of the assistant, and does not open the reasoning of the next one: the model
writes ``<think>`` itself. So the ``</think>`` of another turn is found, and all that the model thinks is content, tag
included. A whole answer is read without a look at the prompt, and is right. From K2.5 on the prompt ends in
``<think>``, which is found first. By the same answer a grammar begins with the first token, so that under
``tool_choice: required`` the model does not think at all from its second turn on.

The script needs no model: one output is fed to the composed parser that the server uses, behind four prompts, whole and
a token at a time, then once more with ``<|im_end|>`` as such a token. It exits with 1 where no reasoning is content.
"""

import logging
import os
import re
import sys
from dataclasses import replace

os.environ["VLLM_LOGGING_LEVEL"] = "ERROR"
logging.disable(logging.WARNING)

ASK = "<|im_user|>user<|im_middle|>Rome?<|im_end|>"
NEXT = "<|im_assistant|>assistant<|im_middle|>"
SAID = f"{ASK}{NEXT}<think></think>It is 18 degrees.<|im_end|>"
CALLED = (
    f"{ASK}{NEXT}<think>I ask.</think><|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
    '<|tool_call_argument_begin|>{"city": "Rome"}<|tool_call_end|><|tool_calls_section_end|><|im_end|>'
    "<|im_system|>get_weather<|im_middle|>## Return of functions.get_weather:0\n18<|im_end|>"
)
THOUGHT, SPOKEN = "The tool says 18.", "It is 18 degrees."
CASES = {
    "K2-Thinking, first turn": (f"{ASK}{NEXT}", "<think>"),
    "K2-Thinking, behind a tool's result": (f"{CALLED}{NEXT}", "<think>"),
    "K2-Thinking, behind a finished turn": (f"{SAID}{ASK}{NEXT}", "<think>"),
    "K2.5, behind a finished turn": (f"{SAID}{ASK}{NEXT}<think>", ""),
}
"""The prompt, and how the output begins."""

SPECIAL = [*dict.fromkeys(re.findall(r"<[^>]+>", CALLED))]


class Tokenizer:
    """A token for each marker and for each other character: the parsers look at no others."""

    def get_vocab(self) -> dict[str, int]:
        """The markers' ids."""
        return {text: number for number, text in enumerate(SPECIAL)}

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of a text."""
        parts = re.split("(" + "|".join(map(re.escape, SPECIAL)) + ")", text)
        shift = len(SPECIAL)
        return [
            i for part in parts for i in ([SPECIAL.index(part)] if part in SPECIAL else [ord(c) + shift for c in part])
        ]

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        """The text of ids."""
        return "".join(SPECIAL[i] if i < len(SPECIAL) else chr(i - len(SPECIAL)) for i in ids)


def read(prompt: str, output: str, *, streamed: bool) -> tuple[str, str]:
    """Reasoning and content of an output behind a prompt."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.parser import ParserManager

    made = ParserManager.get_parser(
        tool_parser_name="kimi_k2", reasoning_parser_name="kimi_k2", enable_auto_tools=True, model_name="m"
    )
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "Rome?"}], model="m")
    tokenizer = Tokenizer()
    parser = made(tokenizer, None)
    ids = tokenizer.encode(output)
    if not streamed:
        reasoning, content, _ = parser.parse(output, request, enable_auto_tools=True, model_output_token_ids=ids)
        return reasoning or "", content or ""
    reasoning = content = ""
    for place, token in enumerate(ids):
        last = place + 1 == len(ids)
        delta = parser.parse_delta(tokenizer.decode([token]), [token], request, tokenizer.encode(prompt), finished=last)
        reasoning += (delta.reasoning or "") if delta else ""
        content += (delta.content or "") if delta else ""
    return reasoning, content


def with_turn_boundaries() -> None:
    """Name the token that ends a turn, as the configurations of other families do."""
    from vllm.parser import kimi_k2

    config = kimi_k2.kimi_k2_config
    kimi_k2.kimi_k2_config = lambda thinking=True: replace(
        config(thinking), turn_boundary_tokens=frozenset({"<|im_end|>"})
    )


def show(also: str = "") -> int:
    """Each case, both ways; how many have reasoning in their content."""
    wrong = 0
    for name, (prompt, opening) in CASES.items():
        for streamed in (False, True):
            reasoning, content = read(prompt, f"{opening}{THOUGHT}</think>{SPOKEN}<|im_end|>", streamed=streamed)
            wrong += THOUGHT in content
            found = "content" if THOUGHT in content else "reasoning" if reasoning == THOUGHT else "nowhere"
            print(f"{name + also:60} {'streamed' if streamed else 'whole':10} the thought is {found}")
    return wrong


def main() -> int:
    """As the release is, and with the token named."""
    from importlib.metadata import version

    print("vllm", version("vllm"))
    wrong = show()
    with_turn_boundaries()
    show(", <|im_end|> named")
    return 0 if wrong else 1


if __name__ == "__main__":
    sys.exit(main())
