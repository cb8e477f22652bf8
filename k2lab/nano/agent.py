"""A small agent: asks a server by the openai client, runs the tools that it calls, and hands their results back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from k2lab import wire
from k2lab.chat import Message, Request, Tool, ToolCall
from k2lab.errors import first_line
from k2lab.nano.office import Ask, asks, call_tool
from k2lab.server.endpoint import Endpoint, in_parallel
from k2lab.stats import Share, share

if TYPE_CHECKING:
    import openai

Ids = Literal["server", "short", "call", "restarted"]
"""As which ids a client keeps calls in its history: the server's own; ``NAME:IDX`` and ``call_`` with hexadecimal
digits, as other systems write them; the server's form, counted from 0 in each answer."""

ID_STYLES: tuple[Ids, ...] = get_args(Ids)

Outcome = Literal["answered", "other words", "wrong call", "lost call", "no call", "failed", "not asked"]
"""What became of an ask: the one right call and its value in the answer; the right call alone; another call; markers of
a call in what should be text; neither; an error of the server; one was before it in the same session."""

MOST_STEPS = 3
"""Answers to one ask; a model that calls again and again is stopped."""

PARAMS: Mapping[str, Any] = {"temperature": 0, "max_tokens": 120}


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One ask, what was called for it, what was said in the end, and what that comes to."""

    ask: Ask
    calls: tuple[ToolCall, ...]
    said: str
    outcome: Outcome


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """A conversation to its end: every ask with its outcome, and the history as the client keeps it."""

    number: int
    ids: Ids
    streamed: bool
    answered: tuple[Answered, ...]
    request: Request


class Agent:
    """One client of one server: ``ids`` is how it keeps calls, ``stream`` how it has answers sent.

    Any error of the server ends the session and is its outcome; nothing is tried again.
    """

    def __init__(self, client: openai.OpenAI, model: str, *, ids: Ids = "server", stream: bool = False) -> None:
        self._client, self._model, self._ids, self._stream = client, model, ids, stream

    def session(self, tools: Sequence[Tool], wanted: Sequence[Ask], *, number: int = 0) -> Session:
        """Ask one after the other, in one conversation."""
        talk = _Talk(tools=tools, ids=self._ids, number=number)
        answered: list[Answered] = []
        for ask in wanted:
            ended = bool(answered) and answered[-1].outcome in ("failed", "not asked")
            answered.append(
                Answered(ask=ask, calls=(), said="", outcome="not asked") if ended else self._answered(talk, ask)
            )
        request = Request.of(talk.messages, list(tools))
        return Session(number=number, ids=self._ids, streamed=self._stream, answered=tuple(answered), request=request)

    def _answered(self, talk: _Talk, ask: Ask) -> Answered:
        import openai

        talk.messages.append({"role": "user", "content": ask.text})
        called: list[ToolCall] = []
        said = ""
        try:
            for _ in range(MOST_STEPS):
                said, calls = self._turn(talk)
                called += calls
                if not calls:
                    break
        except openai.OpenAIError as error:
            return Answered(ask=ask, calls=tuple(called), said=first_line(error), outcome="failed")
        return Answered(ask=ask, calls=tuple(called), said=said, outcome=_outcome(ask, called, said))

    def _turn(self, talk: _Talk) -> tuple[str, list[ToolCall]]:
        """One answer, kept in the history with the results of its calls."""
        create: Any = self._client.chat.completions.create
        sent = {"model": self._model, "messages": talk.messages, "tools": list(talk.tools), **PARAMS}
        if self._stream:
            content, calls = _assembled(create(**sent, stream=True))
        else:
            message = create(**sent).choices[0].message
            content = message.content or ""
            calls = [_Call(id=one.id, name=one.function.name, arguments=one.function.arguments)
                     for one in message.tool_calls or ()]  # fmt: skip
        return content, talk.keep(content, calls)


@dataclass(kw_only=True, slots=True)
class _Call:
    """A call as it comes, in one part or in many."""

    id: str = ""
    name: str = ""
    arguments: str = ""


def _assembled(chunks: Iterable[Any]) -> tuple[str, list[_Call]]:
    """The content and the calls of a stream."""
    content, calls = "", dict[int, _Call]()
    for chunk in chunks:
        for choice in chunk.choices:
            content += choice.delta.content or ""
            for part in choice.delta.tool_calls or ():
                call = calls.setdefault(part.index, _Call())
                call.id = call.id or part.id or ""
                call.name += (part.function and part.function.name) or ""
                call.arguments += (part.function and part.function.arguments) or ""
    return content, [calls[place] for place in sorted(calls)]


class _Talk:
    """A history as a client keeps it, with ids of its own style."""

    def __init__(self, *, tools: Sequence[Tool], ids: Ids, number: int) -> None:
        self.tools = tools
        self.messages: list[Message] = []
        self._ids, self._number, self._count = ids, number, 0

    def keep(self, content: str, calls: Sequence[_Call]) -> list[ToolCall]:
        """Keep an answer, run its tools, and keep what they say."""
        named = list(zip(self._named(calls), calls, strict=True))
        message: dict[str, object] = {"role": "assistant", "content": content}
        if named:
            message["tool_calls"] = [_as_sent(call_id, call) for call_id, call in named]
        self.messages.append(message)
        made = [ToolCall(id=call_id, name=call.name, arguments=call.arguments) for call_id, call in named]
        for call in made:
            self.messages.append({"role": "tool", "tool_call_id": call.id, "content": call_tool(call.name, call.value)})
        return made

    def _named(self, calls: Sequence[_Call]) -> Iterator[str]:
        """The id of each call in the client's style."""
        for place, call in enumerate(calls):
            if self._ids == "server":
                yield call.id
            elif self._ids == "short":
                yield f"{call.name}:{self._count}"
            elif self._ids == "restarted":
                yield wire.call_id(call.name, place)
            else:
                yield f"call_{hashlib.sha256(f'{self._number}/{self._count}'.encode()).hexdigest()[:24]}"
            self._count += 1


def _as_sent(call_id: str, call: _Call) -> dict[str, object]:
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _outcome(ask: Ask, called: Sequence[ToolCall], said: str) -> Outcome:
    if ask.is_answered_by(called):
        return "answered" if ask.value in said else "other words"
    if called:
        return "wrong call"
    return "lost call" if wire.holds_call(said) else "no call"


def run_sessions(
    endpoint: Endpoint,
    *,
    sessions: int = 20,
    asks_each: int = 4,
    seed: int = 14,
    ids: Ids = "server",
    stream: bool = False,
    concurrency: int = 16,
) -> list[Session]:
    """So many conversations with a server, some of them at a time; the same asks for the same ``seed``.

    ``endpoint`` may be the server itself or a proxy before it.
    """
    agent = Agent(endpoint.client, endpoint.model, ids=ids, stream=stream)
    wanted = [(number, *asks(seed, number, asks_each)) for number in range(sessions)]
    return in_parallel(lambda one: agent.session(one[1], one[2], number=one[0]), wanted, concurrency=concurrency)


def answered(sessions: Iterable[Session]) -> Share:
    """Of all asks, those not asked after a failure among them, how many got the one right call and its value said.

    >>> str(answered([]))
    '0 of 0'
    """
    found = [one.outcome == "answered" for session in sessions for one in session.answered]
    return share(sum(found), len(found))


def answered_first(sessions: Iterable[Session]) -> Share:
    """The same of each session's first ask, whose history is empty."""
    found = [one.outcome == "answered" for session in sessions for one in session.answered[:1]]
    return share(sum(found), len(found))


def answered_later(sessions: Iterable[Session]) -> Share:
    """The same of the asks after a session's first, whose history has calls."""
    found = [one.outcome == "answered" for session in sessions for one in session.answered[1:]]
    return share(sum(found), len(found))


def outcomes(sessions: Iterable[Session]) -> dict[str, int]:
    """How often each outcome occurs, the most common first."""
    return dict(Counter(one.outcome for session in sessions for one in session.answered).most_common())


def history_of(session: Session) -> str:
    """The history as JSON, such as `k2lab check` reads."""
    return json.dumps(session.request.to_json(), ensure_ascii=False)
