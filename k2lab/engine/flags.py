"""The flags of a server that k2lab sets itself, told in every spelling that vLLM's parser takes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from k2lab.errors import EngineError

WHERE = "k2lab's servers listen on 127.0.0.1 alone, over plain HTTP: choose the port with --port before the --"
WHAT = "choose what is served with --model before the --"
CODE = "give --trust-remote-code before the --"
PROCESSES = "k2lab watches one server of one machine, whose own process speaks HTTP"
FILES = "a request could then read files of this machine"
KEY = "it would stand in logs and process lists: set VLLM_API_KEY instead"
TOKEN = "it would stand in logs and process lists: set HF_TOKEN instead"

OWNED: Mapping[str, str] = {
    "--host": WHERE,
    "--port": WHERE,
    "--uds": WHERE,
    "--root-path": WHERE,
    "--ssl-keyfile": WHERE,
    "--ssl-certfile": WHERE,
    "--ssl-ca-certs": WHERE,
    "--ssl-cert-reqs": WHERE,
    "--ssl-ciphers": WHERE,
    "--enable-ssl-refresh": WHERE,
    "--grpc": WHERE,
    "--grpc-port": WHERE,
    "--model": WHAT,
    "--served-model-name": WHAT,
    "--config": "k2lab does not see what a file of flags sets: write its flags here",
    "--trust-remote-code": CODE,
    "--allowed-local-media-path": FILES,
    "--api-key": KEY,
    "--hf-token": TOKEN,
    "--api-server-count": PROCESSES,
    "-asc": PROCESSES,
    "--disable-frontend-multiprocessing": PROCESSES,
    "--headless": PROCESSES,
    "--data-parallel-address": PROCESSES,
    "-dpa": PROCESSES,
    "--master-addr": PROCESSES,
    "--master-port": PROCESSES,
    "--nnodes": PROCESSES,
    "-n": PROCESSES,
    "--node-rank": PROCESSES,
    "-r": PROCESSES,
}
"""Name -> why it is k2lab's to set. The names are those of vLLM 0.11.0 and 0.32.0."""

SECRETS = ("VLLM_API_KEY", "OPENAI_API_KEY", "HF_TOKEN")
"""Variables whose values stand in no flag."""

SHORTEST_SECRET = 8
"""A placeholder such as ``test`` may well be a part of a flag."""

NOT_OWNED = ("-dp",)
"""The beginning of an owned flag that is a flag itself."""

DOTTED = re.compile(r"-[^=]*\.[^=]*$")
"""A part of a JSON value whose own value is the next word: ``--speculative-config.model``."""


def refuse_owned(given: Sequence[str]) -> None:
    """Refuse flags that would change what k2lab sets itself.

    vLLM's parser takes a flag in many spellings: ``_`` for ``-``, a value after
    ``=``, any beginning that is of one flag alone, ``--no-`` before a switch,
    ``--flag.key value`` for a part of JSON. Here a beginning that might be of an
    owned flag is refused, whatever else it might be of. Raises
    :class:`EngineError`, which names the flag and never its value.

    >>> refuse_owned(["--max-model-len", "4096"])
    >>> refuse_owned(["--hos=0.0.0.0"])
    Traceback (most recent call last):
    k2lab.errors.EngineError: --hos is --host, which k2lab sets itself: k2lab's servers listen on 127.0.0.1 alone...
    """
    for word in given:
        _check_word(word)
    if given and not given[0].startswith("-"):
        raise EngineError(f"{given[0]!r} is not a flag of vLLM: {WHAT}")
    if given and DOTTED.match(given[-1]):
        raise EngineError(f"{given[-1]} has no value: write it as {given[-1]}=VALUE")


def _check_word(word: str) -> None:
    if word == "--":
        raise EngineError("a second -- would hide flags from vLLM: write all flags after the first one")
    name = name_of(word)
    owned = owned_of(name)
    if owned is not None:
        also = "" if name == owned else f" is {owned}, which"
        raise EngineError(f"{name}{also or ' is a flag that'} k2lab sets itself: {OWNED[owned]}")
    for variable in SECRETS:
        secret = os.environ.get(variable, "")
        if len(secret) >= SHORTEST_SECRET and secret in word:
            raise EngineError(f"a flag holds the value of {variable}, and flags stand in logs and process lists")


def name_of(word: str) -> str:
    """The name of a flag as vLLM's parser reads it; empty for a word that is a value.

    >>> name_of("--api_key=S"), name_of("--host.x"), name_of("-asc2"), name_of("value")
    ('--api-key', '--host', '-asc2', '')
    """
    if not word.startswith("-"):
        return ""
    name = re.split(r"[=.\s]", word, maxsplit=1)[0]
    return name.replace("_", "-") if word.startswith("--") else name


def owned_of(name: str) -> str | None:
    """The flag of :data:`OWNED` that a name is, or may be the beginning of."""
    if not name.startswith("--"):
        return next((short for short in OWNED if name and not short.startswith("--") and _is_short(name, short)), None)
    plain = "--" + name.removeprefix("--").removeprefix("no-")
    return (
        plain if plain in OWNED else next((long for long in OWNED if len(plain) > 2 and long.startswith(plain)), None)
    )


def _is_short(name: str, short: str) -> bool:
    """A short flag, alone, begun, or with its value right behind it."""
    begun = len(name) > 1 and short.startswith(name) and name not in NOT_OWNED
    return begun or (len(short) == 2 and name.startswith(short))
