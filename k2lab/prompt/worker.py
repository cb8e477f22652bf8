"""What is done in a process of its own, under limits: run by path as ``python -I -S worker.py LIMITS ROOT...``.

A job comes as a pickle from the process that started this one, after its length
in eight bytes; the answer goes back as JSON in the same frame, since what made
it is a stranger's. Only jinja2, tokenizers and a few modules of k2lab are
imported, each with the first job that needs it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

HEAD = 8
"""Bytes that tell the length of what follows."""


def fill(template: str, messages: Any, tools: Any, variables: Any) -> str:
    """The text that a template makes."""
    from k2lab.prompt import sandbox

    return sandbox.fill(template, messages, tools=tools, variables=variables)


def reads(template: str) -> list[str] | None:
    """The variables that a template reads."""
    from k2lab.prompt import sandbox

    found = sandbox.reads(template)
    return None if found is None else sorted(found)


MOST_KEPT = 2
_tokenizers: dict[str, Any] = {}


def keep_tokenizer(key: str, data: bytes, config: Mapping[str, Any], named: list[Any]) -> None:
    """Keep a tokenizer under a key, in the place of the oldest where there are two: those of a comparison."""
    from k2lab.prompt.fast import FastTokenizer

    if len(_tokenizers) == MOST_KEPT:
        del _tokenizers[next(iter(_tokenizers))]
    _tokenizers[key] = FastTokenizer.of_files(data, config, named)


def tokenize(key: str, method: str, given: Any) -> Any:
    """What a tokenizer that was built says; raises :class:`KeyError` for one that was not."""
    return getattr(_tokenizers[key], method)(given)


JOBS: Mapping[str, Callable[..., object]] = {
    "fill": fill,
    "reads": reads,
    "keep": keep_tokenizer,
    "ids": tokenize,
}


def answer(name: str, given: tuple[Any, ...], most: int) -> dict[str, object]:
    """What came of a job; a fault of what a stranger made is data."""
    from k2lab.errors import RenderError, SourceError, first_line

    try:
        value = JOBS[name](*given)
        return {"exceeded": "text"} if isinstance(value, str) and len(value) > most else {"value": value}
    except MemoryError:
        return {"exceeded": "memory"}
    except (RenderError, SourceError) as error:
        return {"refused": str(error), "kind": type(error).__name__}
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of a library in Rust is no Exception
        return {"raised": type(error).__name__, "said": first_line(error)}


def limit(memory: int) -> None:
    """Bound what this process takes, as far as the system does that."""
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):  # macOS knows the first and refuses it
            resource.setrlimit(what, (most, most))


def begin(cpu_s: int) -> None:
    """Allow the next job so many seconds of processor time; the kernel ends this process after them."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + 1 + cpu_s
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(source: BinaryIO, sink: BinaryIO, cpu_s: int, most: int) -> None:
    """Do jobs until no more come, or one took all the memory there is."""
    while head := source.read(HEAD):
        name, given = pickle.loads(source.read(int.from_bytes(head, "big")))
        begin(cpu_s)
        found = answer(name, given, most)
        data = json.dumps(found).encode()
        sink.write(len(data).to_bytes(HEAD, "big") + data)
        sink.flush()
        if found.get("exceeded") == "memory":
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    cpu_given, memory_given, text_given = map(int, sys.argv[1].split(","))
    sys.path += sys.argv[2:]
    limit(memory_given)
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a library prints is no answer
        main(sys.stdin.buffer, out, cpu_given, text_given)
