import json
import re

import pytest

from k2lab.errors import InputError
from k2lab.notebook import parameters

KNOWN = {"n": 1, "name": "x", "share": 0.5, "flag": True, "servers": {"a": "", "b": ""}}


def test_parameters_are_read_as_the_type_of_their_default():
    given = [("n", "7"), ("name", "7"), ("share", "2"), ("flag", "false"), ("servers", '{"a": "http://x"}')]
    made = parameters.typed(given, KNOWN, "nb")
    assert made == {"n": 7, "name": "7", "share": 2.0, "flag": False, "servers": {"a": "http://x", "b": ""}}


def test_relative_paths_are_those_of_the_caller(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    known = {"samples_file": "", "out": "", "source": "", "model": ""}
    given = [("samples_file", "a/s.jsonl"), ("out", "runs"), ("source", "model"), ("model", "model")]
    wanted = {"samples_file": "a/s.jsonl", "out": "runs", "source": "model"}
    made = parameters.typed(given, known, "nb")
    assert made == {name: str(tmp_path / path) for name, path in wanted.items()} | {"model": "model"}
    assert parameters.typed([("source", "hub:a/b@c"), ("out", "")], known, "nb") == {**known, "source": "hub:a/b@c"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("m", "1"), "nb has no parameter 'm': it has flag, n, name, servers, share"),
        (("n", "1.5"), "parameter n must be of type int, not '1.5'; its default is 1"),
        (("flag", "1"), "parameter flag must be true or false"),
        (("share", "much"), "parameter share must be of type float"),
        (("servers", "[1]"), "parameter servers must be a JSON object"),
        (("servers", "http://x"), "parameter servers must be a JSON object"),
    ],
)
def test_unknown_and_ill_typed_parameters_are_refused(given, said):
    with pytest.raises(InputError, match=re.escape(said)):
        parameters.typed([given], KNOWN, "nb")


def test_a_parameter_may_be_for_one_notebook_of_several():
    given = [("4_benchmark.requests", "7"), ("concurrency", "2"), ("5_enforcer.requests", "9")]
    parameters.check_places(given, ["4_benchmark", "5_enforcer"])
    assert parameters.given_for("4_benchmark", given) == [("requests", "7"), ("concurrency", "2")]
    assert parameters.given_for("5_enforcer", given) == [("concurrency", "2"), ("requests", "9")]
    with pytest.raises(InputError, match=re.escape("parameter 5_enforcer.requests is for notebook '5_enforcer'")):
        parameters.check_places(given, ["4_benchmark"])


@pytest.mark.parametrize(
    "given",
    [
        ("base_url", "http://u:s3cret@h/v1"),
        ("base_url", "http://h/v1?api_key=s3cret"),
        ("base_url", "http://h/v1#s3cret"),
        ("base_url", "h/v1?s3cret"),
        ("servers", '{"a": "http://s3cret@h/v1"}'),
        ("servers", '{"a": "http://u:s3cret@h/v1'),
        ("name", "see https://u:s3cret@h"),
        ("name", "s3cret-of-env"),
    ],
)
def test_a_parameter_that_holds_a_key_is_refused_and_not_repeated(given, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "s3cret-of-env")
    known = {**KNOWN, "base_url": ""}
    for asked, defaults in (([given], known), ([], {**known, given[0]: _literal(given[1])})):
        with pytest.raises(InputError) as caught:
            parameters.typed(asked, defaults, "nb")
        assert "s3cret" not in str(caught.value)


def _literal(text):
    return json.loads(text) if text.startswith("{") and text.endswith("}") else text
