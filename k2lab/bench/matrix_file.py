"""A matrix of vendors and models: who is asked for what, within which limits, as one TOML file says it."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from k2lab import files
from k2lab.bench.arm import Arm, Repair
from k2lab.bench.limits import Limits
from k2lab.errors import InputError
from k2lab.server.keys import Key, holds_secret
from k2lab.server.transport import checked_url

EXAMPLE = """\
# k2lab bench matrix MATRIX.toml: every vendor is asked every one of its models, trials times each.
# Paths are relative to this file. What was asked stays asked: run the same command again to go on.

samples = "samples.jsonl"            # a chat request a line, as for k2lab bench run
# reference = "results.jsonl"        # what the answers should be: K2VV's official results, or labels
trials = 1
# limit = 2000                       # only the first so many requests
# stream = true                      # by default as each request says
# repair = "history"                 # mend each history first: "ids" or "history"

[extra_body]                         # put over each request, the same for all vendors
temperature = 0.6
max_tokens = 64000

[vendors.moonshot]
base_url = "https://api.moonshot.ai/v1"
key = "MOONSHOT_API_KEY"             # the NAME of an environment variable, never the key
requests_per_minute = 200            # over all of this vendor's models and trials
concurrency = 8                      # requests at once
# timeout_s = 600
# retries = 3                        # after 429, 5xx and lost connections; each is kept

[vendors.moonshot.models]            # what the report calls it = what the vendor calls it
"kimi-k2-0905-preview" = "kimi-k2-0905-preview"

[vendors.self-hosted]
base_url = "http://127.0.0.1:8000/v1"
concurrency = 16

[vendors.self-hosted.models]
"kimi-k2-0905-preview" = "moonshotai/Kimi-K2-Instruct-0905"

# [vendors.self-hosted.extra_body]   # for this vendor alone
# seed = 1
"""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Of a vendor and of a model: each is part of a file's name."""

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,99}")
"""Of the environment; a key does not look like this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendor:
    """Where one vendor is asked, and what that may take; ``models`` has the matrix' name and the vendor's own."""

    name: str
    base_url: str
    models: Mapping[str, str]
    key: str = ""
    """The name of an environment variable."""
    requests_per_minute: float | None = None
    concurrency: int = 8
    timeout_s: float = 600.0
    retries: int = 3
    extra_body: Mapping[str, object] = field(default_factory=dict)

    @property
    def limits(self) -> Limits:
        """The same for the runner, whose rate is a second's."""
        rate = None if self.requests_per_minute is None else self.requests_per_minute / 60
        return Limits(concurrency=self.concurrency, rate=rate, timeout_s=self.timeout_s, retries=self.retries)

    def secret(self) -> Key:
        """The key, asked of the environment where it is sent; none of another vendor's is ever taken for it.

        Raises :class:`InputError` where the environment has none of that name.
        """
        if not self.key:
            return Key()
        if not os.environ.get(self.key, "").strip():
            raise InputError(f"vendor {self.name}: the environment has no {self.key}: export it, on each node too")
        return Key.of(os.environ[self.key])


@dataclass(frozen=True, kw_only=True, slots=True)
class Matrix:
    """Vendors and their models, and how each is asked."""

    path: Path
    samples: Path
    vendors: tuple[Vendor, ...]
    reference: Path | None = None
    trials: int = 1
    limit: int | None = None
    stream: bool | None = None
    repair: Repair = ""
    extra_body: Mapping[str, object] = field(default_factory=dict)

    def arm(self, vendor: Vendor, model: str) -> Arm:
        """How a vendor is asked for a model."""
        return Arm(
            name=arm_name(vendor.name, model),
            base_url=vendor.base_url,
            model=vendor.models[model],
            stream=self.stream,
            repair=self.repair,
            extra_body={**self.extra_body, **vendor.extra_body},
        )

    def only(self, names: Sequence[str]) -> Matrix:
        """The same with these vendors alone, with all where none is named; raises :class:`InputError` for others."""
        known = {vendor.name: vendor for vendor in self.vendors}
        for name in names:
            if name not in known:
                raise InputError(f"{self.path} has no vendor {name!r}, it has {', '.join(known)}")
        values = {name: getattr(self, name) for name in self.__slots__}
        return Matrix(**{**values, "vendors": tuple(known[name] for name in names) or self.vendors})

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever runs it should know before."""
        seen: dict[tuple[str, str], list[str]] = {}
        for vendor in self.vendors:
            seen.setdefault((vendor.base_url.rstrip("/"), vendor.key), []).append(vendor.name)
        return tuple(
            f"{' and '.join(names)} are asked at the same address with the same key, and each has limits of its own"
            for names in seen.values()
            if len(names) > 1
        )


def arm_name(vendor: str, model: str) -> str:
    """What a vendor's arm for a model is called, in its file and in the report."""
    return f"{vendor}: {model}"


def file_of(out: Path, vendor: str, model: str) -> Path:
    """The SQLite file of one vendor's answers for one model."""
    return out / vendor / f"{model}.db"


def read_matrix(path: str | Path) -> Matrix:
    """A matrix file; raises :class:`InputError` in a line with the place, the value and what belongs there.

    >>> Path("m.toml").write_text(EXAMPLE.replace("concurrency = 8", "concurrency = 0")) > 0
    True
    >>> read_matrix("m.toml")
    Traceback (most recent call last):
    k2lab.errors.InputError: m.toml: vendors.moonshot.concurrency must be a whole number from 1, such as 8, not 0
    """
    path = Path(path)
    try:
        value = tomllib.loads(files.read_text(path, "matrix file"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputError(f"matrix file {path} is not TOML: {error}; k2lab bench matrix --example prints one") from None
    made = _taken(path, "", value, MATRIX)
    vendors = tuple(_vendor(path, name, table) for name, table in cast(dict[str, object], made["vendors"]).items())
    for name in ("samples", "reference"):
        if name in made:
            made[name] = path.parent / str(made[name])
    return Matrix(**{**made, "path": path, "vendors": vendors})  # type: ignore[arg-type]


def _vendor(path: Path, name: str, table: object) -> Vendor:
    _check_name(path, "vendors", name)
    where = f"vendors.{name}"
    if not isinstance(table, dict):
        raise InputError(f"{path}: {where} must be a table, [{where}], not {_shown(table)}")
    made = _taken(path, f"{where}.", table, VENDOR)
    for model in cast(dict[str, str], made["models"]):
        _check_name(path, f"{where}.models", model)
    try:
        checked_url(str(made["base_url"]))
    except InputError as error:
        raise InputError(f"{path}: {where}.base_url: {error}") from None
    return Vendor(name=name, **made)  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Field:
    """What stands under one name: whether a value will do, and what belongs there, in words."""

    fits: Callable[[object], bool]
    wanted: str
    needed: bool = False
    secret: bool = False


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: type(value) is int and value >= least


def _positive(value: object) -> bool:
    return type(value) in (int, float) and 0 < cast(float, value) < float("inf")


def _body(value: object) -> bool:
    return isinstance(value, dict) and "messages" not in value and "model" not in value


def _models(value: object) -> bool:
    return isinstance(value, dict) and bool(value) and all(map(_text, value.values()))


MATRIX: Mapping[str, _Field] = {
    "samples": _Field(fits=_text, wanted='the path of a file with a chat request a line, such as "s.jsonl"',
                      needed=True),
    "vendors": _Field(fits=lambda value: isinstance(value, dict) and bool(value),
                      wanted="a table for each vendor, [vendors.NAME]", needed=True),
    "reference": _Field(fits=_text, wanted='the path of a file of results or labels, such as "official.jsonl"'),
    "trials": _Field(fits=_whole(1), wanted="a whole number from 1, such as 3"),
    "limit": _Field(fits=_whole(1), wanted="a whole number from 1, such as 2000"),
    "stream": _Field(fits=lambda value: isinstance(value, bool), wanted="true or false"),
    "repair": _Field(fits=lambda value: value in ("", "ids", "history"), wanted='"ids" or "history"'),
    "extra_body": _Field(fits=_body, wanted="a table of fields of a request, without messages and model"),
}  # fmt: skip

VENDOR: Mapping[str, _Field] = {
    "base_url": _Field(fits=_text, wanted='a URL, such as "https://api.moonshot.ai/v1"', needed=True, secret=True),
    "models": _Field(fits=_models, wanted="a table with the vendor's name of each model, [vendors.NAME.models]",
                     needed=True),
    "key": _Field(fits=lambda value: isinstance(value, str) and VARIABLE.fullmatch(value) is not None, secret=True,
                  wanted='the NAME of an environment variable, such as "MOONSHOT_API_KEY", and no key'),
    "requests_per_minute": _Field(fits=_positive, wanted="a number above 0, such as 60"),
    "concurrency": _Field(fits=_whole(1), wanted="a whole number from 1, such as 8"),
    "timeout_s": _Field(fits=_positive, wanted="seconds above 0, such as 600"),
    "retries": _Field(fits=_whole(0), wanted="a whole number from 0, such as 3"),
    "extra_body": MATRIX["extra_body"],
}  # fmt: skip


def _taken(path: Path, where: str, table: Mapping[str, object], fields: Mapping[str, _Field]) -> dict[str, object]:
    for name, value in table.items():
        known = fields.get(name)
        if known is None:
            raise InputError(f"{path}: {where}{_plain(name)} is no setting: there are {', '.join(fields)}")
        if not known.fits(value):
            said = "what stands there" if known.secret else _shown(value)
            raise InputError(f"{path}: {where}{name} must be {known.wanted}, not {said}")
    for name in (name for name, known in fields.items() if known.needed and name not in table):
        raise InputError(f"{path}: {where}{name} is missing: add {fields[name].wanted}")
    return dict(table)


def _check_name(path: Path, where: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"{path}: {where} has the name {_shown(name)}: take letters, digits, dots, dashes and _ only")


def _plain(name: str) -> str:
    return name if NAME.fullmatch(name) else _shown(name)


def _shown(value: object) -> str:
    said = repr(value)
    if holds_secret(said):
        return "what stands there"
    return said if len(said) <= 80 else f"{said[:80]}…"


def asked_of(matrix: Matrix) -> Iterator[tuple[Vendor, str]]:
    """Each vendor with each of its models, in the order of the file."""
    return ((vendor, model) for vendor in matrix.vendors for model in vendor.models)
