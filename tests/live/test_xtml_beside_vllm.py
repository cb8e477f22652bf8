"""K3's outputs as vLLM's own parsers read them: alike where the form is kept, and lost where the reports say so."""

import json
import os
import random
import subprocess

import pytest

from k2lab import engine, wire
from k2lab.families import K3
from k2lab.wire.xtml.tags import close_tag, open_tag
from tests.conftest import ROOT

pytestmark = pytest.mark.long

WORKER = ROOT / "tests" / "helpers" / "xtml_worker.py"
CHUNKS = (0, 1, 7)
LETTERS = [*"ab \né天🌸<|&\"\\{}'0>=", "<|", "</think>", "&amp;", "&quot;", "<|tool_call_begin|>"]
TOOLS = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object", "properties": {}}}}]


def ask(cases):
    """vLLM's answers to ``(output, thinking)``, for each of the chunks."""
    rows = [
        json.dumps({"raw_output": output, "tools": TOOLS, "thinking": thinking, "chunk": chunk})
        for output, thinking in cases
        for chunk in CHUNKS
    ]
    python = engine.resolve("0.32.0").python
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), str(WORKER)], input="\n".join(rows) + "\n", capture_output=True, text=True, env=variables
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [answers[start : start + len(CHUNKS)] for start in range(0, len(answers), len(CHUNKS))]


class Writer:
    """Random outputs of the documented form."""

    def __init__(self, seed):
        self.random = random.Random(seed)

    def text(self, most):
        """Some characters that look like markup."""
        return "".join(self.random.choice(LETTERS) for _ in range(self.random.randint(0, most)))

    def value(self, depth=0):
        """A value of any type."""
        makers = [
            lambda: None,
            lambda: self.random.random() < 0.5,
            lambda: self.random.randint(-(10**6), 10**6),
            lambda: self.random.uniform(-1e6, 1e6),
            lambda: self.text(10),
            lambda: [self.value(depth + 1) for _ in range(self.random.randint(0, 3))],
            lambda: {self.text(4): self.value(depth + 1) for _ in range(self.random.randint(0, 3))},
        ]
        return self.random.choice(makers if depth < 2 else makers[:5])()

    def output(self):
        """An output behind the prompt's first tag, and what it says: thinking, reasoning, content, calls."""
        thinking = self.random.random() < 0.6
        reasoning, content = self.text(20) if thinking else "", self.text(20)
        calls = [
            (self.text(6).strip() or "f", {self.text(5): self.value() for _ in range(self.random.randint(0, 4))})
            for _ in range(self.random.randint(0, 3))
        ]
        begin = reasoning + close_tag("think") if thinking else ""
        said = wire.format_calls(calls, content, family=K3)
        end = close_tag("message") if self.random.random() < 0.7 else ""
        return begin + (said if thinking else said.removeprefix(open_tag("response"))) + end, thinking, (
            reasoning, content, calls
        )  # fmt: skip


def heard(answer):
    """What one reader says, as names, objects and texts."""
    calls = [(call["name"], json.loads(call["arguments"])) for call in answer["calls"]]
    content = answer["content"] or ""
    return answer["reasoning"] or "", "" if calls and content.isspace() else content, calls


WRITTEN = [Writer(seed).output() for seed in range(120)]
RESPONSE = open_tag("response") + close_tag("response")
CALLED = wire.format_calls([("find", {"word": "x"})], family=K3).removeprefix(RESPONSE)
READ = ("find", {"word": "x"})
REPORTED = {
    "tools in think": (f"I look.{CALLED}{close_tag('message')}", True),
    "response in think": (f"I look.{open_tag('response')}Hi{close_tag('response')}{CALLED}", True),
    "end of message": (f"Hello{close_tag('message')}", False),
    "response alone": (f"{open_tag('response')}Hello{close_tag('response')}", True),
}


@pytest.fixture(scope="session")  # tests of other modules run in between
def xtml_answers():
    """vLLM's answers, to what is written here and to the outputs of public reports."""
    return list(ask([*((output, thinking) for output, thinking, _ in WRITTEN), *REPORTED.values()]))


@pytest.fixture
def lost(xtml_answers):
    """Of each output of a public report what is read here, and what vLLM says."""
    ours = [wire.parse(text, TOOLS, thinking=thinking, family=K3) for text, thinking in REPORTED.values()]
    theirs = [[heard(answer) for answer in answers] for answers in xtml_answers[len(WRITTEN) :]]
    return dict(zip(REPORTED, zip(ours, theirs, strict=True), strict=True))


def test_outputs_of_the_documented_form_are_read_alike_whole_and_streamed(xtml_answers):
    for (output, thinking, (reasoning, content, calls)), answers in zip(WRITTEN, xtml_answers, strict=False):
        parsed = wire.parse(output, None, thinking=thinking, family=K3, strict=True)
        assert all(call.status == "ok" for call in parsed.calls)
        ours = parsed.reasoning or "", parsed.content or "", [(call.name, call.arguments) for call in parsed.calls]
        assert ours == (reasoning, "" if calls and content.isspace() else content, calls)
        assert [heard(answer) for answer in answers] == [ours] * len(CHUNKS)


def test_a_call_that_vllm_loses_where_the_reasoning_is_not_closed_is_read(lost):
    ours, theirs = lost["tools in think"]
    assert [calls for _, _, calls in theirs] == [[], [], []]
    assert ours.reasoning == "I look." and [(call.name, call.arguments) for call in ours.calls] == [READ]
    ours, theirs = lost["response in think"]
    assert [calls for _, _, calls in theirs] == [[READ], [], []]
    assert (ours.reasoning, ours.content) == ("I look.", "Hi") and ours.calls[0].usable


def test_a_marker_that_vllm_streams_as_content_is_none(lost):
    ours, theirs = lost["end of message"]
    assert [content for _, content, _ in theirs] == ["Hello", *[f"Hello{close_tag('message')}"] * 2]
    assert ours.content == "Hello"
    ours, theirs = lost["response alone"]
    assert [content for _, content, _ in theirs] == ["Hello", "", ""] and ours.content == "Hello"
