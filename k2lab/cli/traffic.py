"""``k2lab proxy``: a guard and a recorder in front of a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from k2lab.cli.common import as_record
from k2lab.cli.printing import note
from k2lab.cli.recording import Recording
from k2lab.errors import InputError

if TYPE_CHECKING:
    from k2lab.traffic.lifecycle import Running
    from k2lab.traffic.limits import Limits
    from k2lab.traffic.turns import Guard

FILE = click.Path(path_type=Path, dir_okay=False)
SECONDS = click.FloatRange(min=0, min_open=True)
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


class Size(click.ParamType[int]):
    """Bytes: a number with K, M, G or T behind it, powers of 1024."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes."""
        text = str(value).strip().lower().removesuffix("b").removesuffix("i")
        number = text.rstrip("kmgt")
        if not (number.isascii() and number.isdigit() and text[len(number) :] in UNITS) or not int(number):
            self.fail(f"{value!r} is no size: one looks like 64M or 2G", param, ctx)
        return int(number) * UNITS[text[len(number) :]]


SIZE = Size()
PINNING = {"unheld": "pass", "form": "vllm", "reasoning": "parsed", "max_calls": None, "max_string": None}
"""Options of ``--enforce pinned``, and what they are where they are not given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where the proxy listens, and who may ask."""

    listen: str
    status_listen: str | None
    key_file: Path | None
    upstream_key_file: Path | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What an exchange may take; seconds and bytes."""

    connect_timeout: float
    first_timeout: float
    between_timeout: float
    client_timeout: float
    grace: float
    max_body: int
    max_recorded: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarding:
    """What is changed of requests and answers."""

    repair: str | None
    enforce: str
    unheld: str
    form: str
    reasoning: str
    max_calls: int | None
    max_string: int | None
    salvage: bool
    family: str | None


@click.command(name="proxy")
@click.option("--upstream", required=True, metavar="URL", help="The server, such as http://127.0.0.1:8000/v1.")
@click.option("--listen", default="127.0.0.1:8001", show_default=True, metavar="HOST:PORT",
              help="Where clients connect; 0 is any free port. Beyond this machine --key-file is needed.")  # fmt: skip
@click.option("--status-listen", default=None, metavar="HOST:PORT",
              help="A place of its own for /metrics and /healthz, else /k2lab/metrics and /k2lab/healthz.")  # fmt: skip
@click.option("--key-file", type=FILE, default=None,
              help="The proxy's own key: sent as x-k2lab-key beside the upstream's key, or in its place.")  # fmt: skip
@click.option("--upstream-key-file", type=FILE, default=None,
              help="The upstream's key, for clients that send none of their own.")  # fmt: skip
@click.option("--repair", type=click.Choice(["ids", "history"]), default=None,
              help="Mend the history of each request: its ids alone, or all that `k2lab repair` mends.")  # fmt: skip
@click.option("--enforce", type=click.Choice(["off", "pinned"]), default="off", show_default=True,
              help="pinned: send k2lab's grammar along, which holds an answer to its tools.")  # fmt: skip
@click.option("--unheld", type=click.Choice(["pass", "refuse", "loosen"]), default="pass", show_default=True,
              help="What becomes of a request that no grammar can hold, when pinned.")  # fmt: skip
@click.option("--form", type=click.Choice(["vllm", "vllm-0.11", "sglang", "tensorrt-llm"]), default="vllm",
              show_default=True, help="The server that takes the grammar, when pinned.")  # fmt: skip
@click.option("--reasoning", type=click.Choice(["parsed", "plain"]), default="parsed", show_default=True,
              help="Whether the server runs a reasoning parser, when pinned; plain also where it is told"
              " enable_in_reasoning, so that the grammar holds the reasoning, too.")  # fmt: skip
@click.option("--max-calls", type=click.IntRange(min=1), default=None,
              help="Calls that an answer may make, when pinned; by default 8.")  # fmt: skip
@click.option("--max-string", type=click.IntRange(min=1), default=None,
              help="Characters of a string without a bound in its schema, when pinned.")  # fmt: skip
@click.option("--salvage", is_flag=True,
              help="Make a call of one that leaked into the text, where it is closed, declared and valid.")  # fmt: skip
@click.option("--family", default=None, help="K2, K2-Thinking, K2.5 ... where the model's name does not say it.")
@click.option("--connect-timeout", type=SECONDS, default=5.0, show_default=True, help="Seconds for a connection.")
@click.option("--first-timeout", type=SECONDS, default=600.0, show_default=True,
              help="Seconds until the upstream begins to answer.")  # fmt: skip
@click.option("--between-timeout", type=SECONDS, default=120.0, show_default=True,
              help="Seconds from one part of an answer to the next.")  # fmt: skip
@click.option("--client-timeout", type=SECONDS, default=60.0, show_default=True,
              help="Seconds in which a client sends some of its request, or takes some of its answer.")  # fmt: skip
@click.option("--grace", type=SECONDS, default=30.0, show_default=True,
              help="Seconds that open answers may take to finish when the proxy is asked to stop.")  # fmt: skip
@click.option("--max-body", type=SIZE, default="64M", show_default=True, help="The most of a request.")
@click.option("--record", type=click.Path(path_type=Path), default=None, metavar="PLACE",
              help="Record every exchange into this SQLite file, or this folder: Parquet by the hour.")  # fmt: skip
@click.option("--record-form", type=click.Choice(["sqlite", "parquet"]), default=None,
              help="The form of the record; by default parquet where PLACE is a folder.")  # fmt: skip
@click.option("--durable", is_flag=True, help="Have each exchange survive a power cut, too, before it is answered.")
@click.option("--sample", type=click.FloatRange(min=0, max=1), default=None,
              help="Keep this share of the exchanges, and all in which something is found.")  # fmt: skip
@click.option("--keep-size", type=SIZE, default=None, help="The most that the record takes; the oldest go.")
@click.option("--keep-days", type=SECONDS, default=None, help="For how many days an exchange is kept.")
@click.option("--redact", type=click.Choice(["keys", "mails", "none"]), multiple=True,
              help="What is left out of the record; by default keys.")  # fmt: skip
@click.option("--redact-pattern", multiple=True, metavar="NAME=RE2", help="What else is left out of it.")
@click.option("--look/--no-look", default=True, show_default=True, help="Look for findings in what passed.")
@click.option("--max-recorded", type=SIZE, default="8M", show_default=True,
              help="The most of a request or an answer that is recorded.")  # fmt: skip
@as_record("places", Places)
@as_record("guarding", Guarding)
@as_record("recording", Recording)
@as_record("bounds", Bounds)
def proxy_command(upstream: str, places: Places, guarding: Guarding, recording: Recording, bounds: Bounds) -> None:
    """Stand in front of a server: pass everything on, repair, hold, record and count it.

    Without options no byte of a body is changed, streamed or not. What the guard changes of /v1/chat/completions,
    /v1/responses and /v1/messages stands in headers of the answer, x-k2lab-..., and in the record. Metrics for
    Prometheus are at /k2lab/metrics, the health at /k2lab/healthz.

    SIGTERM and Ctrl-C let open answers finish; a second one cuts them off.
    """
    from k2lab.traffic import lifecycle

    setting = lifecycle.Setting(
        upstream=upstream,
        listen=lifecycle.Place.of(places.listen),
        status_listen=lifecycle.Place.of(places.status_listen, "--status-listen") if places.status_listen else None,
        key=_key(places.key_file),
        upstream_key=_key(places.upstream_key_file),
        limits=_limits(bounds),
        fails_closed=guarding.unheld == "refuse",
    )
    guard = _guard(guarding)
    status = lifecycle.run(setting, guard=guard, recorder=recording.recorder(), told=_tell)
    if status:
        raise click.exceptions.Exit(status)


def _tell(running: Running) -> None:
    note(f"{running.url} passes on to {running.proxy.upstream.url}; metrics: {running.status_url}/metrics")


def _guard(guarding: Guarding) -> Guard | None:
    """The guard; ``None`` where it would change nothing. What belongs to an option that was not given is refused."""
    from k2lab.traffic.guard import GuardOptions, guard_of

    given = {name: value for name, value in asdict(guarding).items() if value is not None}
    if guarding.enforce != "pinned":
        for name, usual in PINNING.items():
            if given.pop(name, usual) != usual:
                raise InputError(f"--{name.replace('_', '-')} belongs to --enforce pinned")
    options = GuardOptions(**given)
    return guard_of(options) if options.changes else None


def _key(path: Path | None) -> str:
    from k2lab.traffic.admission import read_key

    if path is None:
        return ""
    key = read_key(path, "key file")
    if path.stat().st_mode & 0o077:
        raise InputError(f"key file {path} can be read by others: chmod 600 {path}")
    return key


def _limits(bounds: Bounds) -> Limits:
    from k2lab.traffic.limits import Limits

    return Limits(
        body_bytes=bounds.max_body,
        recorded_bytes=bounds.max_recorded,
        connect_s=bounds.connect_timeout,
        first_s=bounds.first_timeout,
        between_s=bounds.between_timeout,
        client_s=bounds.client_timeout,
        grace_s=bounds.grace,
    )
