"""A damaged model folder is rendered right or refused in one line: each file missing, odd or of a wrong shape."""

import json
import shutil
from random import Random

import pytest

from k2lab.errors import K2LabError
from k2lab.prompt.rendering import render
from tests.conftest import TALK
from tests.fuzz import _damage
from tests.fuzz._commands import run
from tests.fuzz.folders import OWN_KEYS, kimi_folder
from tests.helpers.effort import within
from tests.helpers.models import copied

JSON = ("tokenizer_config.json", "config.json", "generation_config.json", "tokenizer.json", "special_tokens_map.json")
FILES = (*JSON, "chat_template.jinja", "tiktoken.model", "additional_chat_templates")
CONTENTS = {
    "empty": b"",
    "half of it": None,
    "zeros": b"\x00" * 100,
    "binary": bytes(range(256)) * 8,
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "a list": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "a number": b"1e400",
    "a long number": b'{"a": ' + b"1" * 5000 + b"}",
    "not a number": b'{"a": NaN}',
    "330 levels": b'{"a":' * 330 + b"1" + b"}" * 330,
    "100,000 levels": b"[" * 100_000,
    "half a surrogate pair": b'{"chat_template": "\\ud800", "bos_token": "\\ud800", "tokenizer_class": "\\ud800"}',
    "twice the same key": b'{"chat_template": 1, "chat_template": "{{ messages }}"}',
}


def good_folder(kind, place):
    if kind == "kimi":
        return kimi_folder(place)
    return copied(kind, place)


def one_line(ran):
    """What a refused run says, which is one line; nothing for one that succeeded."""
    ran.checked(0, 1)
    lines = [line for line in ran.err.splitlines() if not line.startswith("k2lab: note: ")]
    assert len(lines) == ran.code and all(line.startswith("k2lab: ") for line in lines), ran
    return "".join(lines)


@pytest.mark.parametrize("kind", ["kimi", "current", "legacy"])
def test_each_file_damaged_in_each_way_is_rendered_or_one_line(tmp_path, kind, talk):
    sound = good_folder(kind, tmp_path / "sound")
    said = {}
    with within(60):
        for file in FILES:
            for how in [*_damage.INSTEAD, *CONTENTS]:
                bad = shutil.copytree(sound, tmp_path / "bad")
                path = bad / file
                before = path.read_bytes() if path.exists() else b"{}"
                path.unlink(missing_ok=True)
                if how in _damage.INSTEAD:
                    _damage.INSTEAD[how](path)
                else:
                    path.write_bytes(before[: len(before) // 2] if CONTENTS[how] is None else CONTENTS[how])
                said[file, how] = one_line(run("render", "--source", bad, "--conversation", TALK))
                assert not said[file, how] or str(bad) in said[file, how] or "bad/" in said[file, how], said[file, how]
                if path.is_file() and not path.is_symlink():
                    path.chmod(0o600)
                shutil.rmtree(bad)
    assert sum(map(bool, said.values())) > 50
    refused = {file for (file, how), line in said.items() if line and how == "a pipe"}
    assert refused >= {"tokenizer_config.json", "chat_template.jinja"}


@pytest.mark.parametrize("kind", ["kimi", "current"])
def test_each_key_of_a_wrong_type_is_rendered_or_one_error(tmp_path, kind, talk):
    """Every key that is read, and some others, with each odd value in its place; by the front door."""
    folder = good_folder(kind, tmp_path / "model")
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text())
    keys = {key for more in OWN_KEYS for key in more} | {"eos_token", "additional_special_tokens", "added_tokens"}
    values = [value for value in _damage.VALUES if not (isinstance(value, str) and value.startswith("@verbatim"))]
    random = Random(7)
    for more in [*OWN_KEYS, *({key: value} for key in sorted(keys) for value in random.sample(values, 9))]:
        path.write_text(json.dumps({**config, **more}))
        try:
            assert render(folder, talk).text
        except K2LabError as error:
            assert "\n" not in str(error) and len(str(error)) < 1000, more
