"""Synthetic Kimi conversations with labels, deterministic by seed.

A conversation declares a few tools called ``VERB_NOUN`` and holds one to five
exchanges. Each exchange is an ask for one or two declared tools (answered by
calls, tool results and a closing sentence), an ask for a tool that is not
declared, or small talk.

The two pools of tool names, ``train`` and ``held-out``, do not overlap: which
of them a ``VERB_NOUN`` belongs to is decided by a hash of the name alone. No
tool of an evaluation conversation, declared or asked for, occurs in training.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from k2lab.chat import Message, Request, Tool

Pool = Literal["train", "held-out"]
Kind = Literal["call", "undeclared", "small_talk", "answer"]

HELD_OUT_TENTHS = 2
"""Of ten tool names, how many belong to the held-out pool."""

REFUSAL = "I have no tool for that."

WORDS: Mapping[str, Sequence[str]] = json.loads((Path(__file__).parent / "words.json").read_text(encoding="utf-8"))

SYSTEM_TEXTS = (
    "You are a helpful assistant",
    "You are a careful assistant.",
    "You are an assistant that uses tools.",
    "Answer briefly.",
)

SMALL_TALK: tuple[tuple[str, str], ...] = (
    ("Hello!", "Hello! How can I help you?"),
    ("Hi there.", "Hello! How can I help you?"),
    ("Good morning.", "Good morning! What can I do for you?"),
    ("Good evening.", "Good evening! What can I do for you?"),
    ("How are you?", "I am fine, thank you."),
    ("Who are you?", "I am Kimi, an AI assistant."),
    ("What is your name?", "My name is Kimi."),
    ("Thank you!", "You are welcome."),
    ("Thanks a lot.", "You are welcome."),
    ("That is great.", "I am glad to hear that."),
    ("You are very kind.", "I am glad to hear that."),
    ("Tell me a joke.", "I only know the one about the empty list."),
    ("What can you do?", "I can talk with you and call tools."),
    ("Are you a human?", "No, I am an AI assistant."),
    ("Do you like {topic}?", "Yes, I like {topic}."),
    ("I love {topic}.", "I like {topic} too."),
    ("My name is {person}.", "Nice to meet you, {person}."),
    ("I live in {city}.", "I hear that {city} is nice."),
    ("See you on {day}.", "See you on {day}!"),
    ("Goodbye.", "Goodbye!"),
)

ASK_FORMS: tuple[tuple[str, str], ...] = (
    ("Please {ask}.", ""),
    ("Can you {ask}?", ""),
    ("Could you {ask}?", ""),
    ("I want to {ask}.", ""),
    ("Now {ask}.", ""),
    ("{ask}", ""),
    ("I need you to {ask}.", "On it."),
)
"""How an ask is put, and the text that stands before its calls."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One kind of tool parameter: its schema, how a value is drawn and how an ask says it."""

    name: str
    schema: Mapping[str, Any]
    draw: Callable[[random.Random], Any]
    phrase: Callable[[Any], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What the right assistant turn is: its exact text, and its calls as ``(name, arguments)`` in order."""

    kind: Kind
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    content: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialogue:
    """A conversation with the label of each assistant turn, by message index."""

    request: Request
    labels: Mapping[int, Label]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A request whose next assistant turn is known: ``request`` ends before that turn."""

    case_id: str
    request: Request
    label: Label


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Shares from which conversations are drawn; the defaults are those of the training set."""

    call: float = 0.68
    undeclared: float = 0.12
    parallel: float = 0.15
    foreign_ids: float = 0.05
    system: float = 0.2
    turns: tuple[float, ...] = (0.36, 0.30, 0.18, 0.10, 0.06)


def pool_of(name: str) -> Pool:
    """The pool that a tool name belongs to."""
    digest = hashlib.sha256(name.encode()).digest()
    return "held-out" if digest[0] % 10 < HELD_OUT_TENTHS else "train"


@cache
def tool_names(pool: Pool) -> tuple[str, ...]:
    """Every ``VERB_NOUN`` of a pool."""
    return tuple(
        name for verb in WORDS["verbs"] for noun in WORDS["nouns"] if pool_of(name := f"{verb}_{noun}") == pool
    )


def dialogues(pool: Pool, seed: int, mix: Mix | None = None) -> Iterator[Dialogue]:
    """An endless stream; the n-th depends on pool, seed, mix and n alone."""
    index = 0
    while True:
        yield _Author(pool, random.Random(f"{pool}/{seed}/{index}"), mix or Mix()).dialogue()
        index += 1


def cases(
    pool: Pool,
    seed: int,
    count: int,
    kinds: Sequence[Kind],
    mix: Mix | None = None,
    request_of: Callable[[Dialogue], Request] = lambda dialogue: dialogue.request,
) -> list[Case]:
    """``count`` requests, one a conversation, each ending before a turn of one of ``kinds``."""
    found: list[Case] = []
    for number, dialogue in enumerate(dialogues(pool, seed, mix)):
        places = [index for index, label in dialogue.labels.items() if label.kind in kinds]
        if places:
            place = random.Random(f"case/{seed}/{number}").choice(places)
            found.append(
                Case(
                    case_id=f"{pool}-{seed}-{number}",
                    request=request_of(dialogue).prefix(place),
                    label=dialogue.labels[place],
                )
            )
        if len(found) == count:
            return found
    raise AssertionError("unreachable: the stream is endless")


def deep_cases(pool: Pool, seed: int, count: int, earlier_calls: int) -> list[Case]:
    """``count`` asks for one tool after exactly ``earlier_calls`` calls with standard ids, one a turn."""
    mix = Mix(call=1.0, undeclared=0.0, parallel=0.0, foreign_ids=0.0, turns=(*(0.0,) * earlier_calls, 1.0))
    found: list[Case] = []
    for number, dialogue in enumerate(dialogues(pool, seed, mix)):
        asks = [index for index, label in dialogue.labels.items() if label.kind == "call"]
        if len(asks) == earlier_calls + 1:
            conversation = dialogue.request.prefix(asks[-1])
            found.append(
                Case(case_id=f"{pool}-{seed}-{number}-deep", request=conversation, label=dialogue.labels[asks[-1]])
            )
        if len(found) == count:
            return found
    raise AssertionError("unreachable: the stream is endless")


def cases_with_history(pool: Pool, seed: int, count: int) -> list[Case]:
    """``count`` asks for declared tools that come after at least one earlier call."""
    found = cases(pool, seed, 6 * count, ("call",))
    return [c for c in found if any(m.get("tool_calls") for m in c.request.messages)][:count]


def with_foreign_ids(conversation: Request, count: int) -> Request:
    """The same conversation, its first ``count`` calls with ids as another system writes them: ``NAME:IDX``."""
    data = conversation.to_json()
    calls = [call for message in data["messages"] for call in message.get("tool_calls", ())]
    renamed = {call["id"]: call["id"].removeprefix("functions.") for call in calls[:count]}
    for call in calls:
        call["id"] = renamed.get(call["id"], call["id"])
    for message in data["messages"]:
        if "tool_call_id" in message:
            message["tool_call_id"] = renamed.get(message["tool_call_id"], message["tool_call_id"])
    return Request.of(data["messages"], data["tools"])


def _word(rng: random.Random, words: Sequence[str], *, capital: bool) -> str:
    """A word of the list or, one time in four, a made-up one: values are to be copied, not known."""
    if rng.random() < 0.75:
        return rng.choice(words)
    made = "".join(rng.choice(WORDS["syllables"]) for _ in range(rng.choice((2, 3))))
    return made.capitalize() if capital else made


def _string(name: str, words: Sequence[str], phrase: str, *, capital: bool) -> Parameter:
    return Parameter(
        name=name,
        schema={"type": "string"},
        draw=lambda rng: _word(rng, words, capital=capital),
        phrase=lambda value: phrase.format(value),
    )


def _enum(name: str, words: Sequence[str], phrase: str) -> Parameter:
    return Parameter(
        name=name,
        schema={"type": "string", "enum": list(words)},
        draw=lambda rng: rng.choice(words),
        phrase=lambda value: phrase.format(value),
    )


def _object(name: str, properties: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _range(rng: random.Random) -> dict[str, int]:
    low = rng.randint(1, 60)
    return {"min": low, "max": low + rng.randint(1, 30)}


PARAMETERS: tuple[Parameter, ...] = (
    _string("city", WORDS["cities"], "in {}", capital=True),
    _string("person", WORDS["people"], "for {}", capital=True),
    _string("topic", WORDS["topics"], "about {}", capital=False),
    _string("day", WORDS["days"], "on {}", capital=False),
    Parameter(
        name="title",
        schema={"type": "string"},
        draw=lambda rng: " ".join((rng.choice(WORDS["colours"]), rng.choice(WORDS["things"]))),
        phrase=lambda value: f"called {value}",
    ),
    Parameter(
        name="limit",
        schema={"type": "integer"},
        draw=lambda rng: rng.randint(1, 99),
        phrase=lambda value: f"with limit {value}",
    ),
    Parameter(
        name="amount",
        schema={"type": "number"},
        draw=lambda rng: rng.randint(1, 99) + rng.randint(1, 9) / 10,
        phrase=lambda value: f"worth {value}",
    ),
    _enum("unit", ("metric", "imperial"), "in {} units"),
    _enum("mode", ("fast", "slow", "quiet"), "in {} mode"),
    Parameter(name="urgent", schema={"type": "boolean"}, draw=lambda rng: True, phrase=lambda value: "as urgent"),
    Parameter(
        name="range",
        schema=_object("range", {"min": {"type": "integer"}, "max": {"type": "integer"}}),
        draw=_range,
        phrase=lambda value: f"from {value['min']} to {value['max']}",
    ),
    Parameter(
        name="owner",
        schema=_object("owner", {"name": {"type": "string"}, "team": {"type": "string"}}),
        draw=lambda rng: {"name": _word(rng, WORDS["people"], capital=True), "team": rng.choice(WORDS["teams"])},
        phrase=lambda value: f"owned by {value['name']} of {value['team']}",
    ),
)
WEIGHTS = (5, 4, 4, 4, 2, 3, 2, 2, 2, 1, 1, 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Offer:
    """A tool as drawn: its parameters and which of them are required."""

    name: str
    parameters: tuple[Parameter, ...]
    required: frozenset[str]

    def tool(self) -> Tool:
        return tool_of(self.name, self.parameters, self.required)


def tool_of(name: str, parameters: Sequence[Parameter], required: Collection[str]) -> Tool:
    """A tool ``VERB_NOUN`` as the model knows them."""
    verb, noun = name.split("_")
    schema = {
        "type": "object",
        "properties": {parameter.name: dict(parameter.schema) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.name in required],
    }
    description = f"{verb.capitalize()} {_article(noun)} {noun}."
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


class _Author:
    """Writes one dialogue, drawing everything from one random stream."""

    def __init__(self, pool: Pool, rng: random.Random, mix: Mix) -> None:
        self.pool = pool
        self.rng = rng
        self.mix = mix
        self.offers = self._offers()
        self.foreign = rng.random() < mix.foreign_ids
        self.messages: list[Message] = []
        self.labels: dict[int, Label] = {}
        self.calls_so_far = 0

    def dialogue(self) -> Dialogue:
        if self.rng.random() < self.mix.system:
            self.messages.append({"role": "system", "content": self.rng.choice(SYSTEM_TEXTS)})
        turns = self.rng.choices(range(1, len(self.mix.turns) + 1), self.mix.turns)[0]
        for _ in range(turns):
            self._exchange()
        conversation = Request.of(self.messages, [offer.tool() for offer in self.offers])
        return Dialogue(request=conversation, labels=self.labels)

    def _offers(self) -> list[_Offer]:
        names = self.rng.sample(tool_names(self.pool), self.rng.choices((0, 1, 2, 3), (0.03, 0.34, 0.39, 0.24))[0])
        return [self._offer(name) for name in names]

    def _offer(self, name: str) -> _Offer:
        count = self.rng.choices((0, 1, 2, 3), (0.05, 0.45, 0.4, 0.1))[0]
        parameters: list[Parameter] = []
        while len(parameters) < count:
            drawn = self.rng.choices(PARAMETERS, WEIGHTS)[0]
            if drawn not in parameters:
                parameters.append(drawn)
        required = frozenset(
            parameter.name for parameter in parameters if parameter.name != "urgent" and self.rng.random() < 0.8
        )
        return _Offer(name=name, parameters=tuple(parameters), required=required)

    def _exchange(self) -> None:
        drawn = self.rng.random()
        if self.offers and drawn < self.mix.call:
            self._call_exchange()
        elif drawn < self.mix.call + self.mix.undeclared:
            self._undeclared_exchange()
        else:
            self._small_talk()

    def _call_exchange(self) -> None:
        count = 2 if self.rng.random() < self.mix.parallel else 1
        asked = [self._ask(self.rng.choice(self.offers)) for _ in range(count)]
        content = self._user(" and ".join(text for text, _, _ in asked))
        calls = tuple((name, arguments) for _, name, arguments in asked)
        ids = [self._next_id(name) for name, _ in calls]
        made = [_wire_call(call_id, *call) for call_id, call in zip(ids, calls, strict=True)]
        self._assistant(Label(kind="call", calls=calls, content=content), made)
        results = [self._result() for _ in ids]
        for call_id, (text, _) in zip(ids, results, strict=True):
            self.messages.append({"role": "tool", "tool_call_id": call_id, "content": text})
        self._assistant(Label(kind="answer", content=_closing([value for _, value in results])))

    def _undeclared_exchange(self) -> None:
        declared = {offer.name for offer in self.offers}
        name = self.rng.choice([n for n in tool_names(self.pool) if n not in declared])
        text, _, _ = self._ask(self._offer(name))
        self._user(text)
        self._assistant(Label(kind="undeclared", content=REFUSAL))

    def _small_talk(self) -> None:
        said, reply = self.rng.choice(SMALL_TALK)
        slots = {
            "topic": _word(self.rng, WORDS["topics"], capital=False),
            "person": _word(self.rng, WORDS["people"], capital=True),
            "city": _word(self.rng, WORDS["cities"], capital=True),
            "day": self.rng.choice(WORDS["days"]),
        }
        self.messages.append({"role": "user", "content": said.format(**slots)})
        self._assistant(Label(kind="small_talk", content=reply.format(**slots)))

    def _ask(self, offer: _Offer) -> tuple[str, str, dict[str, Any]]:
        """The words of an ask for a tool, the tool's name, and the arguments in the order of the words."""
        said = [p for p in offer.parameters if p.name in offer.required or self.rng.random() < 0.5]
        self.rng.shuffle(said)
        arguments = {parameter.name: parameter.draw(self.rng) for parameter in said}
        return words_of(offer.name, [(one, arguments[one.name]) for one in said], self.rng), offer.name, arguments

    def _user(self, ask: str) -> str:
        """Say an ask; returns the text that stands before its calls."""
        form, content = self.rng.choice(ASK_FORMS)
        text = form.format(ask=ask)
        self.messages.append({"role": "user", "content": text[0].upper() + text[1:]})
        return content

    def _assistant(self, label: Label, tool_calls: Sequence[dict[str, Any]] = ()) -> None:
        self.labels[len(self.messages)] = label
        message: Message = {"role": "assistant", "content": label.content}
        if tool_calls:
            message["tool_calls"] = list(tool_calls)
        self.messages.append(message)

    def _next_id(self, name: str) -> str:
        number = self.calls_so_far
        self.calls_so_far += 1
        return f"{name}:{number}" if self.foreign else f"functions.{name}:{number}"

    def _result(self) -> tuple[str, str | None]:
        """The text of a tool result, and the value that the closing sentence names (``None``: an error)."""
        kind = self.rng.choices(("number", "word", "json", "error"), (0.4, 0.3, 0.2, 0.1))[0]
        if kind == "error":
            return "error: not found", None
        value = str(self.rng.randint(1, 999)) if kind == "number" else _word(self.rng, WORDS["things"], capital=False)
        return (json.dumps({"status": "ok", "value": value}) if kind == "json" else value), value


def words_of(name: str, said: Sequence[tuple[Parameter, Any]], rng: random.Random) -> str:
    """How a call of a tool is asked for, its arguments in this order."""
    verb, noun = name.split("_")
    return " ".join([verb, rng.choice((_article(noun), "the")), noun, *(one.phrase(value) for one, value in said)])


def _article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def _closing(values: Sequence[str | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "Sorry, that did not work."
    return f"The result is {known[0]}." if len(known) == 1 else f"The results are {' and '.join(known)}."


def _wire_call(call_id: str, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    # json's own separators: vLLM decodes the arguments of a history and templates write them anew with these.
    text = json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
