"""What becomes of a schema that is written anew: the edits, and what of its meaning could not be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from k2lab.jsonable import as_json
from k2lab.mfjs.rulebook import Refusal

Effect = Literal["wider", "narrower"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One edit: ``path`` is a JSON pointer in the schema as it came, what stood there, what does now, and why."""

    path: str
    before: object
    after: object
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """A part of the meaning that MFJS has no words for.

    ``wider``: the new schema accepts values that the old one refuses;
    ``narrower``: it refuses values that the old one accepts.
    """

    path: str
    keyword: str
    value: object
    effect: Effect
    words: str

    def __str__(self) -> str:
        return f"{self.path or '(root)'}: {self.words}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fixed:
    """A schema written anew; ``refusals`` are those that are left in it.

    ``reason`` says why a schema came back as it was where another one was asked for; else it is empty.

    Where ``equal``, both accept the same values by Draft 2020-12, in which
    ``format`` is an annotation and makes no value invalid.
    """

    schema: object
    changes: tuple[Edit, ...] = ()
    lost: tuple[Lost, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    reason: str = ""

    @property
    def equal(self) -> bool:
        """Whether nothing of the meaning is lost."""
        return not self.lost

    def to_json(self) -> dict[str, object]:
        """``{"schema", "equal", "reason", "changes", "lost", "refusals"}``."""
        parts = {name: as_json(getattr(self, name)) for name in ("changes", "lost", "refusals")}
        return {"schema": self.schema, "equal": self.equal, "reason": self.reason, **parts}


class Notes:
    """Edits and losses while a schema is rewritten; one that is met again is noted once."""

    def __init__(self) -> None:
        self.edits: dict[tuple[str, str], Edit] = {}
        self.losses: dict[tuple[str, str, str], Lost] = {}

    def edit(self, path: str, before: object, after: object, why: str) -> None:
        """An edit that keeps the meaning."""
        self.edits.setdefault((path, why), Edit(path=path, before=before, after=after, why=why))

    def lose(self, path: str, keyword: str, value: object, words: str, effect: Effect = "wider") -> None:
        """An edit that does not."""
        loss = Lost(path=path, keyword=keyword, value=value, effect=effect, words=words)
        self.losses.setdefault((path, keyword, words), loss)
        self.edit(path, value, None, words)
