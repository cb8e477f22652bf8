"""The sweep: what a release's answers become, the table, and what changed; with a stand-in for vLLM, and without."""

import json
import sys
from dataclasses import replace

import pytest

from k2lab import doctor
from k2lab.chat import ToolCall
from k2lab.doctor import promptfaults, sweeping
from k2lab.engine import warm
from k2lab.errors import EngineError
from k2lab.server import parsers
from k2lab.server.parsers import Reading
from k2lab.show import parts, sweeps
from tests.helpers import fake_parser

OUTPUTS = tuple(
    parsers.Failure(
        case_id=name, what="", source=(), raw_output=text, tools=(), status="ok",
        calls=(ToolCall(name="f", arguments={}),), content=content,
    )
    for name, text, content in (("read", "CALL{}", None), ("not read", "nothing", None))
)  # fmt: skip
RIGHT = dict.fromkeys(
    (fault.name for fault in promptfaults.FAULTS), promptfaults.Made(text=promptfaults.SUFFIX, error="")
)


def readings(name, outcomes):
    labels = parsers.CHUNKS.values()
    return [
        Reading(case_id="case", column=f"{name} {label}", outcome=outcome, detail="why" * (outcome == "not asked"))
        for label, outcome in zip(labels, outcomes, strict=True)
    ]


@pytest.mark.parametrize(
    ("outcomes", "state", "word", "shown"),
    [
        (("right", "right", "right"), "absent", "right", "✓"),
        (("lost", "right", "wrong"), "present", "lost", "✗ lost"),
        (("right", "right", "wrong"), "present", "wrong at 7 tokens", "≠ wrong (7)"),
        (("right", "leaked", "leaked"), "present", "leaked at 1 token, 7 tokens", "≠ leaked (1, 7)"),
        (("not asked",) * 3, "unknown", "unknown", "? unknown"),
    ],
)
def test_the_readings_of_an_output_become_one_cell(outcomes, state, word, shown):
    cell = sweeping.cell_of("0.11.0", "case", readings("0.11.0", outcomes))
    assert (cell.state, cell.word, sweeps.sign(cell)) == (state, word, shown)
    assert cell.known.right == {"✓": 2, "≠": 1}.get(shown[0], 0)


@pytest.mark.parametrize("fault", promptfaults.FAULTS, ids=lambda fault: fault.name)
def test_each_fault_of_a_prompt_has_a_text_that_shows_it_and_one_that_does_not(fault):
    plain = f'{promptfaults.COMPACT} {promptfaults.BROKEN} {{"name":"now"}}{promptfaults.SUFFIX}'
    shows = "[{'type': 'text', 'text': ''}] [{'type': 'text', 'text': 'sunny'}] null {}"
    assert fault.shown_by(shows) and not fault.shown_by(plain)


@pytest.fixture
def answers(monkeypatch):
    """Engines by name, each with the prompts that it makes; all read the first output and not the second."""
    known = {"0.32.0": RIGHT, "0.11.0": RIGHT | {"generation prompt dropped": promptfaults.Made(text="", error="")}}

    def prompts(name):
        if name not in known:
            raise EngineError(f"{name} is not installed\nat all")
        return known[name]

    def ask(name, outputs, folder):
        outcomes = ["right" if name in known else "not asked", "lost" if name in known else "not asked"]
        pairs = [(output, outcome) for output, outcome in zip(outputs, outcomes, strict=True)]
        return [
            replace(reading, case_id=output.case_id)
            for output, outcome in pairs
            for reading in readings(name, [outcome] * 3)
        ]

    monkeypatch.setattr(promptfaults, "made_prompts", prompts)
    monkeypatch.setattr(parsers, "ask_engine", ask)
    return known


def test_a_sweep_is_a_table_in_the_order_of_releases_that_says_what_changed(answers):
    told = []
    found = doctor.sweep(["0.32.0", "0.11.0"], OUTPUTS, told=told.append)
    assert found.releases == ("0.11.0", "0.32.0") and sorted(told) == ["0.11.0", "0.32.0"]
    assert list(found.rows) == [*RIGHT, "read", "not read"]
    assert [cell.word for cell in found.rows["not read"]] == ["lost", "lost"]
    assert found.counts["0.11.0"] == found.counts["0.32.0"] + 1 and not found.reasons
    ((fault, (change,)),) = found.changes.items()
    assert (fault, change.kind, change.after) == ("generation prompt dropped", "mended", "0.32.0")
    shown = sweeps.sweep_view(found)
    assert "generation prompt dropped" in shown.text and "✗ there" in shown.text
    assert "more can be asked: k2lab engine install 0.11.1 0.13.0" in shown.text and "0.11.2, 0.12.0" in shown.text
    assert "mended" in shown.html and "✗ lost" in shown.html
    assert json.loads(json.dumps(found.to_json()))["changes"][fault][0]["before"] == "0.11.0"


def test_a_release_that_cannot_be_asked_is_a_column_of_its_own_with_the_reason(answers):
    found = doctor.sweep(["0.11.0", "0.13.0", "0.32.0"], OUTPUTS)
    assert {cell.state for cell in found.cells if cell.release == "0.13.0"} == {"unknown"}
    assert found.reasons == {"0.13.0": "0.13.0 is not installed"}
    assert [change.before for change in found.changes["generation prompt dropped"]] == ["0.11.0"]
    shown = sweeps.sweep_view(found)
    assert "0.13.0 is not known: 0.13.0 is not installed" in shown.text
    assert shown.text.split("there in all")[1].split()[:3] == ["4", "?", "3"]


def test_where_no_release_can_be_asked_one_line_says_why(k2lab, tmp_path, monkeypatch):
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path))
    (tmp_path / "raw.txt").write_text("text")
    for command in (("sweep", "--engine", "http://127.0.0.1:1/v1"), ("bisect", tmp_path / "raw.txt")):
        done = k2lab(*command)
        assert done.returncode == 1 and "no release could be asked" in done.stderr.splitlines()[-1], done.stderr
    assert "0.11.0: vLLM 0.11.0 is not installed: k2lab engine install 0.11.0" in done.stderr


def test_refused_requests_are_right_where_the_refusal_is_of_the_fault_and_unknown_elsewhere(answers):
    broken = {"broken arguments become {}": promptfaults.Made(text=None, error="JSONDecodeError: Unterminated string")}
    answers["0.11.0"] = RIGHT | broken | {"arguments respaced": promptfaults.Made(text=None, error="TypeError: x")}
    rows = doctor.sweep(["0.11.0"], OUTPUTS).rows
    assert [cell.word for cell in rows["broken arguments become {}"]] == ["refused"]
    (cell,) = rows["arguments respaced"]
    assert (cell.state, cell.detail) == ("unknown", "TypeError: x")


CHAT_UTILS = """
def resolve_chat_template_content_format(chat_template, tools, given_format, tokenizer, *, model_config):
    assert given_format == "auto" and model_config.multimodal_config is None
    return "openai"


def parse_chat_messages(messages, model_config, content_format):
    if "Par'" in str(messages):
        raise ValueError("JSONDecodeError")
    return messages, None


def apply_hf_chat_template(tokenizer, conversation, chat_template, tools, *, model_config, **kwargs):
    print("vLLM prints where it likes")
    assert "tokenize" not in kwargs
    return f"{conversation} {tools} {sorted(kwargs)}"
"""


PROTOCOL = """
class ChatCompletionRequest:
    add_generation_prompt, continue_final_message, documents = True, False, None

    def __init__(self, model, messages, tools=()):
        self.messages, self.tools = messages, None
"""


@pytest.mark.skipif(sys.platform != "linux", reason="engines run on Linux")
def test_an_engine_is_asked_by_its_own_functions(tmp_path, monkeypatch):
    path = tmp_path / "path"
    fake_parser.write(path)
    entrypoints = path / "vllm" / "entrypoints"
    (entrypoints / "chat_utils.py").write_text(CHAT_UTILS)
    (path / "vllm" / "tokenizers.py").write_text("def get_tokenizer(folder, trust_remote_code): return folder\n")
    (entrypoints / "openai" / "protocol.py").write_text(PROTOCOL)
    monkeypatch.setenv("PYTHONPATH", str(path))
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path / "cache"))
    try:
        made = promptfaults.made_prompts(sys.executable)
    finally:
        warm.end_all()
    first = made["generation prompt dropped"].text
    assert first is not None, made
    assert "Hello" in first and first.endswith("['add_generation_prompt', 'continue_final_message', 'documents']")
    assert made["broken arguments become {}"] == promptfaults.Made(text=None, error="ValueError: JSONDecodeError")


def test_engines_that_cannot_be_asked_for_prompts_say_why(tmp_path, monkeypatch):
    with pytest.raises(EngineError, match="is a URL: its code for prompts is not at hand"):
        promptfaults.made_prompts("http://127.0.0.1:1/v1")
    monkeypatch.setenv("K2LAB_CACHE", str(tmp_path))
    with pytest.raises(EngineError, match="k2lab engine install"):
        promptfaults.made_prompts("0.32.0")


def test_the_command_writes_a_page_and_refuses_what_is_no_engine(answers, k2lab, tmp_path):
    catalogue = tmp_path / "c.jsonl"
    catalogue.write_text("".join(
        json.dumps({"id": output.case_id, "raw_output": "x", "tools": [],
                    "expected": {"calls": [], "content": "<b>x</b>"}}) + "\n" for output in OUTPUTS
    ))  # fmt: skip
    page = tmp_path / "sweep.html"
    done = k2lab("sweep", "--engine", "0.11.0", "--catalogue", catalogue, "--html", page)
    assert done.returncode == 0, done.stderr
    assert "generation prompt dropped" in done.stdout and "0.11.0 has been asked" in done.stderr
    assert page.read_text().startswith("<!DOCTYPE html>") and "<script" not in page.read_text()
    assert "0.11.0" in page.read_text() and parts.whole_page("<i>", parts.line("x")).count("&lt;i&gt;") == 2
    answered = json.loads(k2lab("sweep", "--engine", "0.11.0", "--catalogue", catalogue, "--json").stdout)
    assert answered["releases"] == ["0.11.0"] and len(answered["cells"]) == len(RIGHT) + 2
    refused = k2lab("sweep", "--engine", "9.9.9")
    assert refused.returncode == 1 and len(refused.stderr.splitlines()) == 1 and "no lock" in refused.stderr
    nowhere = k2lab("sweep", "--engine", "0.11.0", "--catalogue", catalogue, "--html", tmp_path / "no" / "x.html")
    assert nowhere.returncode == 1 and len(nowhere.stderr.splitlines()) == 2
