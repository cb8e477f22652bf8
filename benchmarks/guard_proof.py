"""What the guard does on live servers, beside the same requests sent to them directly: run by ``make guard-proof``.

``lost``: vLLM 0.11.0, histories with one to four earlier calls under ids of another system (``NAME:IDX``, ``call_N``),
whole and streamed, by the openai client: answers that come as the right call. ``cache``: vLLM 0.32.0, conversations
that grow turn by turn: prompt tokens that the server had cached. ``pinned``: vLLM 0.32.0, k2-nano's benchmark set with
``--enforce pinned``: answers whose calls are invalid. ``salvage``: vLLM 0.32.0 that was started with another model's
tool parser, so that each call leaks, by all three APIs, whole and streamed. Each starts its own server and `k2lab
proxy` as a process.
"""

import argparse
import contextlib
import json
import re
import tempfile
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai

from k2lab import engine
from k2lab.bench import runner, samples, store
from k2lab.bench.arm import Arm
from k2lab.bench.judged import judge_all
from k2lab.bench.limits import Limits
from k2lab.chat import Answer
from k2lab.nano import benchmark, evaluate, folders
from k2lab.nano.synth import deep_cases, with_foreign_ids
from k2lab.notebook.proxying import proxied
from k2lab.server.endpoint import Endpoint
from k2lab.stats import share

SEED = 14
KINDS = {
    "NAME:IDX": lambda request: with_foreign_ids(request, 9),
    "call_N": lambda request: opaque(request),
    "standard": lambda request: request,
}
GUARDS = {
    "direct": None,
    "repair ids": ("--repair", "ids"),
    "repair history, salvage": ("--repair", "history", "--salvage"),
}


def opaque(request):
    """The same conversation with the ids that an OpenAI-compatible API makes."""
    text = json.dumps(request.to_json())
    for number, known in enumerate(dict.fromkeys(re.findall(r"functions\.[\w.-]+:\d+", text))):
        text = text.replace(f'"{known}"', f'"call_{number:02d}f3a9c{number}d"')
    data = json.loads(text)
    return type(request).of(data["messages"], data["tools"])


def asked(client, case, *, stream):
    """The answer of the openai client, a stream put together."""
    body = {key: value for key, value in case.request.to_json().items() if value}
    response = client.chat.completions.create(model="k2-nano", **body, **evaluate.PARAMS, stream=stream)
    if not stream:
        return Answer.of(response.model_dump())
    content, calls, finish = "", [], None
    for chunk in response:
        for choice in chunk.choices:
            content += choice.delta.content or ""
            finish = choice.finish_reason or finish
            for part in choice.delta.tool_calls or []:
                if part.index == len(calls):
                    calls.append({"id": part.id, "function": {"name": part.function.name, "arguments": ""}})
                calls[part.index]["function"]["arguments"] += part.function.arguments or ""
    return Answer.of({"choices": [{"finish_reason": finish, "message": {"content": content, "tool_calls": calls}}]})


def each(url, cases, *, stream=False):
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda case: asked(client, case, stream=stream), cases))


def lost(server, count):
    upstream = Endpoint(server.base_url, "k2-nano")
    plain = [case for calls in range(1, 5) for case in deep_cases("held-out", SEED, count // 4, calls)]
    for kind, change in KINDS.items():
        cases = evaluate.changed(plain, change)
        for name, options in GUARDS.items():
            if kind == "standard" and options is not None:
                continue
            for stream in (False, True):
                if options is None:
                    answers = each(server.base_url, cases, stream=stream)
                else:
                    with proxied(upstream, *options) as guarded:
                        answers = each(guarded.base_url, cases, stream=stream)
                came = share(sum(bool(answer.calls) for answer in answers), len(answers))
                leaked = sum("<|tool_call" in answer.content for answer in answers)
                how = "streamed" if stream else "whole"
                print(
                    f"{kind:9} {name:24} {how:9} calls came {came}, right {evaluate.exact(cases, answers)},"
                    f" leaked into the text {leaked} of {len(answers)}",
                    flush=True,
                )


def grown(case):
    """What a client sends turn after turn: up to each answer of the conversation."""
    messages = case.request.messages
    ends = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    return [case.request.prefix(end) for end in ends] + [case.request]


def cache(server, count):
    """Each arm has conversations of its own, so that none finds what another left."""
    upstream = Endpoint(server.base_url, "k2-nano")
    for number, (name, options) in enumerate({**GUARDS, "direct, standard ids": None}.items()):
        cases = deep_cases("held-out", SEED + 1 + number, count, 4)
        if name != "direct, standard ids":
            cases = evaluate.changed(cases, KINDS["call_N"])
        if options is None:
            print(f"{name:24} {cached(server.base_url, cases)}", flush=True)
        else:
            with proxied(upstream, *options) as guarded:
                print(f"{name:24} {cached(guarded.base_url, cases)}", flush=True)


def cached(url, cases):
    client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
    first, later = [0, 0], [0, 0]
    for case in cases:
        for turn, request in enumerate(grown(case)):
            body = {key: value for key, value in request.to_json().items() if value}
            usage = client.chat.completions.create(model="k2-nano", **body, temperature=0, max_tokens=1).usage
            into = later if turn else first
            into[0] += usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
            into[1] += usage.prompt_tokens
    return f"cached of the later turns' prompt tokens {share(*later)}, of the first turns' {share(*first)}"


def pinned(server, count):
    upstream = Endpoint(server.base_url, "k2-nano")
    with tempfile.TemporaryDirectory() as name:
        path, _ = benchmark.write(Path(name) / "set", count)
        for arm, options in (("direct", None), ("pinned", ("--repair", "ids", "--enforce", "pinned", *BOUNDS))):
            if options is None:
                judged(arm, server.base_url, path, Path(name))
            else:
                with proxied(upstream, *options) as guarded:
                    judged(arm, guarded.base_url, path, Path(name))


BOUNDS = ("--max-calls", "2", "--max-string", "16")


def judged(name, url, path, folder):
    arm = Arm(name=name, base_url=url, model="k2-nano", extra_body={"max_tokens": 512})
    out = folder / f"{name}.db"
    runner.run_benchmark(samples.open_samples(path), arm, out, limits=Limits(concurrency=8))
    with store.reading(out) as file:
        found = list(judge_all(file.results(file.run_of(name))))
    calling = [item for item in found if item.answered and item.verdict.calls]
    faults = [call.fault for item in calling for call in item.verdict.calls if call.fault]
    wrong = sum(any(call.fault for call in item.verdict.calls) for item in calling)
    leaked = sum("call_leaked_into_content" in item.verdict.faults for item in found if item.answered)
    counted = {fault: faults.count(fault) for fault in dict.fromkeys(faults)}
    print(
        f"{name:9} {len(found)} requests, {sum(item.answered for item in found)} answered, {len(calling)} call:"
        f" invalid {share(wrong, len(calling))} {counted}, leaked {leaked},"
        f" cut short {sum(item.verdict.cut_short for item in found if item.answered)}",
        flush=True,
    )


def salvage(server, count):
    upstream = Endpoint(server.base_url, "k2-nano")
    cases = deep_cases("held-out", SEED, count, 1)
    for name, options in (("direct", None), ("salvage", ("--salvage",))):
        with proxied(upstream, *options) if options else contextlib.nullcontext(upstream) as asked_at:
            for stream in (False, True):
                for api, ask in APIS.items():
                    with openai.OpenAI(base_url=asked_at.base_url, api_key="none", max_retries=0) as client:
                        answers = [ask(client, case, stream=stream) for case in cases]
                    came = share(sum(bool(answer.calls) for answer in answers), count)
                    how = "streamed" if stream else "whole"
                    print(
                        f"{name:8} {api:16} {how:9} calls came {came}, right {evaluate.exact(cases, answers)}",
                        flush=True,
                    )


def by_responses(client, case, *, stream):
    """The answer of the openai client's Responses API."""
    data = case.request.to_json()
    items = [item for message in data["messages"] for item in items_of(message)]
    tools = [{"type": "function", "strict": False, **tool["function"]} for tool in data["tools"]]
    fields = {"model": "k2-nano", "input": items, "tools": tools, "temperature": 0, "max_output_tokens": 200}
    if stream:
        with client.responses.stream(**fields) as events:
            response = events.get_final_response()
    else:
        response = client.responses.create(**fields)
    calls = [
        {"id": item.call_id, "function": {"name": item.name, "arguments": item.arguments}}
        for item in response.output
        if item.type == "function_call"
    ]
    return answer_of(response.output_text, calls)


def items_of(message):
    """A chat message as items of the Responses API."""
    if message["role"] == "tool":
        return [{"type": "function_call_output", "call_id": message["tool_call_id"], "output": message["content"]}]
    calls = [
        {"type": "function_call", "call_id": call["id"], **call["function"]} for call in message.get("tool_calls") or ()
    ]
    said = [{"role": message["role"], "content": message["content"]}] if message.get("content") else []
    return [*said, *calls]


def by_messages(client, case, *, stream):
    """The answer of the Messages API, read as its clients read it."""
    data = case.request.to_json()
    system = [message["content"] for message in data["messages"] if message["role"] == "system"]
    fields = {
        "model": "k2-nano", "max_tokens": 200, "temperature": 0, "stream": stream,
        "messages": [blocks_of(message) for message in data["messages"] if message["role"] != "system"],
        "tools": [{"name": f["name"], "input_schema": f["parameters"], "description": f.get("description", "")}
                  for f in (tool["function"] for tool in data["tools"])],
    }  # fmt: skip
    if system:
        fields["system"] = system[0]
    text = posted(f"{str(client.base_url).rstrip('/')}/messages", fields)
    blocks = streamed_blocks(text) if stream else json.loads(text)["content"]
    text = "".join(block["text"] for block in blocks if block["type"] == "text")
    calls = [
        {"id": block["id"], "function": {"name": block["name"], "arguments": json.dumps(block["input"])}}
        for block in blocks
        if block["type"] == "tool_use"
    ]
    return answer_of(text, calls)


def posted(url, fields):
    request = urllib.request.Request(url, json.dumps(fields).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as response:
        return response.read().decode()


def blocks_of(message):
    """A chat message as one of the Messages API."""
    if message["role"] == "tool":
        block = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": message["content"]}
        return {"role": "user", "content": [block]}
    said = [{"type": "text", "text": message["content"]}] if message.get("content") else []
    calls = [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"],
         "input": json.loads(call["function"]["arguments"])}
        for call in message.get("tool_calls") or ()
    ]  # fmt: skip
    return {"role": message["role"], "content": [*said, *calls]}


def streamed_blocks(text):
    """The blocks of a stream, put together."""
    blocks = {}
    for line in text.splitlines():
        value = json.loads(line.removeprefix("data: ")) if line.startswith("data: {") else {}
        if value.get("type") == "content_block_start":
            blocks[value["index"]] = {**value["content_block"], "json": ""}
        elif value.get("type") == "content_block_delta":
            delta, block = value["delta"], blocks[value["index"]]
            block["json"] += delta.get("partial_json") or ""
            block["text"] = block.get("text", "") + (delta.get("text") or "")
    return [
        {**block, "input": json.loads(block["json"])} if block["type"] == "tool_use" else block
        for block in blocks.values()
    ]


def answer_of(text, calls):
    finish = "tool_calls" if calls else "stop"
    return Answer.of({"choices": [{"finish_reason": finish, "message": {"content": text, "tool_calls": calls}}]})


APIS = {"chat/completions": asked, "responses": by_responses, "messages": by_messages}

PARTS = {
    "lost": (lost, "0.11.0", ()),
    "cache": (cache, "0.32.0", ("--enable-prompt-tokens-details",)),
    "pinned": (pinned, "0.32.0", ()),
    "salvage": (salvage, "0.32.0", ("--tool-call-parser", "hermes")),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--count", type=int, default=200)
    options = parser.parse_args()
    part, version, flags = PARTS[options.part]
    found = engine.resolve(version)
    folder = folders.assemble("current")
    with engine.serving(found.python, version, folder, flags=[*found.flags, *flags]) as server:
        print(f"vLLM {version}, k2-nano, {options.part}, {options.count}", flush=True)
        part(server, options.count)


if __name__ == "__main__":
    main()
