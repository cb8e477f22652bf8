"""A request shrunk: passes over its parts, the largest first, within a budget; how surely the rest shows the fault."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2lab.chat import Request
from k2lab.shrink import neutral, parts
from k2lab.shrink.deltas import fewest
from k2lab.shrink.parts import Data
from k2lab.shrink.sights import Sight, Spent, history_faults, same_fault, slips, wanted_fault
from k2lab.stats import Share, share

FIRST_TRIALS = 3
"""How often the request is looked at first: where not all show the fault, the server is random."""

RANDOM_TRIALS, RANDOM_SHOWS = 5, 2
"""On a random server a candidate shows the fault where so many of at most so many trials do."""

LAST_TRIALS = 10
"""How often the result is looked at, for the share that is said; kept back from the budget."""

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a request is."""

    messages: int
    tools: int
    characters: int

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Size:
        """Of a request as JSON data; characters are those of its JSON text."""
        text = json.dumps(data, ensure_ascii=False)
        return cls(messages=len(data["messages"]), tools=len(data.get("tools") or ()), characters=len(text))

    def __str__(self) -> str:
        counts = {"message": self.messages, "tool": self.tools, "character": self.characters}
        return ", ".join(f"{count:,} {what}{'s' * (count != 1)}" for what, count in counts.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class Shrunk:
    """What is left of a request: ``data`` shows ``fault`` as ``shows`` says, in so many of so many last looks.

    ``neutral`` says whether its words are neutral ones; ``spent`` that the
    budget ended it, so that more could perhaps be left out.
    """

    fault: str
    evidence: str
    data: Data
    before: Size
    after: Size
    asked: int
    shows: Share
    steady: bool
    neutral: bool
    spent: bool

    @property
    def request(self) -> Request:
        """The result as a request."""
        from k2lab.chat.files import request_of

        return request_of(self.data)


def shrunk(
    request: Request, sight: Sight, *, fault: str | None = None, private: bool = True, tell: Tell = lambda line: None
) -> Shrunk:
    """The smallest request that still shows a fault: no part of it can be left out alone, where the budget suffices.

    It ends with the same message, whose words alone may become neutral, and its history has no graver fault that the
    given one has not, so that it is the same case.

    ``fault`` is a code or name of the catalogue, or such as ``HTTP 400``; by
    default the gravest that shows. With ``private`` words are made neutral where
    the fault still shows then. Raises :class:`~k2lab.errors.InputError` where no
    fault shows, and :class:`~k2lab.errors.EndpointError` where a server does not
    answer. The request is not changed.

    >>> call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    >>> said = {"role": "assistant", "content": None, "tool_calls": [call]}
    >>> result = {"role": "tool", "tool_call_id": "call_1", "content": "noon"}
    >>> user = {"role": "user", "content": "Hello"}
    >>> asked = Request.of([user, said, result, user, {"role": "assistant", "content": "Hi"}, user])
    >>> from k2lab.shrink import Offline
    >>> [message["role"] for message in shrunk(asked, Offline(), fault="R001").request.messages]
    ['assistant', 'tool', 'user']
    """
    data = request.to_json()
    if not data["tools"]:
        del data["tools"]
    first = [sight.faults(data) for _ in range(1 if sight.certain else FIRST_TRIALS)]
    shown = next((faults for faults in first if fault and _named(fault, faults)), max(first, key=len))
    wanted = wanted_fault(shown, fault)
    hits = sum(wanted in faults for faults in first)
    search = _Search(data, sight, wanted, shown[wanted], steady=hits == len(first), tell=tell)
    spent = search.run(private)
    return search.result(before=Size.of(data), spent=spent)


def _named(fault: str, faults: Mapping[str, str]) -> bool:
    from k2lab.errors import InputError

    try:
        return wanted_fault(faults, fault) in faults
    except InputError:
        return False


class _Search:
    """The best request so far, and the passes that make it smaller."""

    def __init__(self, data: Data, sight: Sight, fault: str, evidence: str, *, steady: bool, tell: Tell) -> None:
        self.best = data
        self.neutral = False
        self._sight = sight
        self._fault, self._evidence = fault, evidence
        self._steady = steady
        self._tell = tell
        self._seen: dict[str, bool] = {}
        self._known = history_faults(data, sight.model)

    def run(self, private: bool) -> bool:
        """Every pass until none makes it smaller; whether the budget ended it."""
        try:
            size = None
            while size != (size := Size.of(self.best)):
                for name, one in _PASSES.items():
                    self._tell(f"{name}: {Size.of(self.best)} left, looked {self._sight.asked:,} times")
                    one(self)
            if private:
                self._tell("neutral words")
                self._neutral()
        except Spent:
            return True
        return False

    def result(self, before: Size, spent: bool) -> Shrunk:
        """What is left, looked at once more."""
        shown = []
        try:
            for _ in range(1 if self._sight.certain else LAST_TRIALS):
                shown.append(same_fault(self._fault, self._evidence, self._sight.faults(self.best)))
        except Spent:
            spent = True
        return Shrunk(
            fault=self._fault,
            evidence=self._evidence,
            data=self.best,
            before=before,
            after=Size.of(self.best),
            asked=self._sight.asked,
            shows=share(sum(shown), len(shown)),
            steady=self._steady,
            neutral=self.neutral,
            spent=spent,
        )

    def holds(self, candidate: Data) -> bool:
        """Whether a candidate shows the fault; then it is the best."""
        key = hashlib.blake2b(json.dumps(candidate, sort_keys=True).encode(), digest_size=16).hexdigest()
        if key not in self._seen:
            self._seen[key] = self._shows(candidate)
        if self._seen[key]:
            self.best = candidate
        return self._seen[key]

    def _shows(self, candidate: Data) -> bool:
        if not candidate["messages"] or slips(candidate, self._known, self._sight.model):
            return False
        trials, needed = (1, 1) if self._steady else (RANDOM_TRIALS, RANDOM_SHOWS)
        hits = 0
        for left in range(trials, 0, -1):
            if self._sight.left <= LAST_TRIALS:
                raise Spent
            hits += same_fault(self._fault, self._evidence, self._sight.faults(candidate))
            if hits >= needed or hits + left - 1 < needed:
                break
        return hits >= needed

    def exchanges(self) -> None:
        """Messages before the last one, those that belong together at once."""
        data, last = self.best, len(self.best["messages"]) - 1
        groups = [[at for at in group if at != last] for group in parts.message_groups(data["messages"])]
        fewest(
            groups, lambda kept: self.holds(parts.with_messages(data, [*(at for group in kept for at in group), last]))
        )

    def messages(self) -> None:
        """Messages before the last one, one by one."""
        data, last = self.best, len(self.best["messages"]) - 1
        fewest(range(last), lambda kept: self.holds(parts.with_messages(data, [*kept, last])))

    def tools(self) -> None:
        """Tools."""
        data = self.best
        fewest(data.get("tools") or [], lambda kept: self.holds(parts.with_items(data, "tools", kept)))

    def fields(self) -> None:
        """Fields beside messages and tools."""
        data = self.best
        fewest(parts.fields(data), lambda kept: self.holds(parts.with_fields(data, kept)))

    def keys(self) -> None:
        """Keys, calls, parts and properties within messages and tools."""
        data = self.best
        every = parts.inner_keys(data)
        fewest(every, lambda kept: self.holds(parts.without(data, [path for path in every if path not in set(kept)])))

    def words(self) -> None:
        """Words of texts, the longest text first; the last message keeps its own, which are what is asked."""
        last = ("messages", len(self.best["messages"]) - 1)
        paths = [path for path in parts.text_paths(self.best) if path[:2] != last]
        for path in sorted(paths, key=lambda path: -len(parts.at(self.best, path))):
            self._words_of(self.best, path)

    def _words_of(self, data: Data, path: parts.Path) -> None:
        split = parts.words(parts.at(data, path))
        fewest(split, lambda kept: self.holds(parts.with_text(data, path, "".join(kept).strip())))

    def _neutral(self) -> None:
        """Neutral words in all texts at once, else in each where the fault bears it."""
        names = neutral.names_kept(self.best)
        paths = parts.text_paths(self.best)
        words = neutral.Words(names)
        self.neutral = self.holds(_made_neutral(self.best, paths, words))
        if not self.neutral:
            words = neutral.Words(names)
            done = [self.holds(_made_neutral(self.best, [path], words)) for path in paths]
            self.neutral = all(done)


def _made_neutral(data: Data, paths: Sequence[parts.Path], words: neutral.Words) -> Data:
    made = copy.deepcopy(data)
    for path in paths:
        text = parts.at(made, path)
        said = neutral.neutral_arguments(text, words) if path[-1] == "arguments" else words.text(text)
        parts.at(made, path[:-1])[path[-1]] = said
    return made


_PASSES: Mapping[str, Callable[[_Search], None]] = {
    "messages": _Search.exchanges,
    "tools": _Search.tools,
    "fields": _Search.fields,
    "single messages": _Search.messages,
    "keys": _Search.keys,
    "words": _Search.words,
}
