"""Flags that k2lab sets itself, held against the option lists of both releases of vLLM."""

from pathlib import Path

import pytest

from k2lab.engine import flags
from k2lab.errors import EngineError

RELEASES = {path.stem: path.read_text().split() for path in sorted((Path(__file__).parent / "options").glob("*.txt"))}


def refused(*given: str) -> bool:
    try:
        flags.refuse_owned(given)
    except EngineError:
        return True
    return False


@pytest.mark.parametrize("release", RELEASES)
def test_an_owned_flag_is_refused_in_every_spelling_that_the_parser_would_take_for_it(release):
    options = [name for name in RELEASES[release] if name.startswith("--")]
    owned = [name for name in options if name in flags.OWNED]
    assert len(options) > 150 and len(owned) > 15
    for name in owned:
        others = [other for other in options if other != name]
        begun = [name[:end] for end in range(3, len(name)) if not any(o.startswith(name[:end]) for o in others)]
        for spelling in (name, *begun):
            for said in (spelling, "--" + spelling[2:].replace("-", "_")):
                assert refused(f"{said}=x") and refused(said, "x") and refused(f"{said}.y", "x"), said


@pytest.mark.parametrize("release", RELEASES)
def test_every_other_flag_is_passed_on(release):
    others = [name for name in RELEASES[release] if name not in flags.OWNED and not name.startswith("--no-")]
    assert [name for name in others if refused(name, "x")] == []


@pytest.mark.parametrize(
    "given",
    [
        ["--", "--host=::"],
        ["-n2"],
        ["-asc", "2"],
        ["FOLDER"],
        ["--no-trust-remote-code"],
        ["--speculative-config.model"],
    ],
)
def test_what_would_pass_by_the_check_is_refused_too(given):
    assert refused(*given)


def test_a_refusal_names_the_flag_and_never_its_value(monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "sk-0123456789")
    for given in (["--api_k=sk-secret"], ["--api-key", "sk-secret"], ["--chat-template=sk-0123456789"]):
        with pytest.raises(EngineError) as caught:
            flags.refuse_owned(given)
        assert "sk-" not in str(caught.value) and "\n" not in str(caught.value)
