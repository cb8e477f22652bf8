"""A chat answer as a stream of events, and a stream put together again, as the openai client does it."""

import json
from itertools import pairwise


def events(answer, cuts=(), *, ending="\n\n", extra=()):
    """The bytes of a stream of a whole answer: each text in pieces that end at ``cuts``, then the end, then [DONE]."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "kimi-k2"}
    out = []
    for choice in answer["choices"]:
        index, message = choice["index"], choice["message"]
        deltas = [{"role": "assistant", "content": ""}]
        for name in ("reasoning_content", "reasoning", "content"):
            deltas += [{name: part} for part in pieces(message.get(name) or "", cuts)]
        for place, call in enumerate(message.get("tool_calls") or []):
            deltas.append({"tool_calls": [{"index": place, **call}]})
        out += [
            {**base, "choices": [{"index": index, "delta": d, "logprobs": None, "finish_reason": None}]} for d in deltas
        ]
        last = {"index": index, "delta": {"content": ""}, "logprobs": None, "finish_reason": choice["finish_reason"]}
        out.append({**base, "choices": [last]})
    out.append({**base, "choices": [], "usage": {"total_tokens": 3}})
    texts = [*extra, *(f"data: {json.dumps(value, ensure_ascii=False)}" for value in out), "data: [DONE]"]
    return "".join(text.replace("\n", ending[: len(ending) // 2]) + ending for text in texts).encode()


def pieces(text, cuts):
    places = sorted({min(cut, len(text)) for cut in cuts} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


def put_together(stream):
    """The choices of a stream, by index: texts, calls and how each ended; and the lines that are comments."""
    made, comments = {}, []
    for line in stream.decode().replace("\r\n", "\n").split("\n"):
        if line.startswith(":"):
            comments.append(line)
        if not line.startswith("data: ") or line == "data: [DONE]":
            continue
        for choice in json.loads(line[6:]).get("choices", []):
            one = made.setdefault(
                choice["index"], {"content": "", "reasoning": "", "tool_calls": [], "finish_reason": None}
            )
            delta = choice["delta"]
            one["content"] += delta.get("content") or ""
            one["reasoning"] += delta.get("reasoning_content") or delta.get("reasoning") or ""
            for call in delta.get("tool_calls") or []:
                assert call["index"] == len(one["tool_calls"])
                one["tool_calls"].append({key: call[key] for key in ("id", "type", "function")})
            one["finish_reason"] = choice["finish_reason"] or one["finish_reason"]
    return made, comments


def plain(answer):
    """The choices of a whole answer in the same form."""
    return {
        choice["index"]: {
            "content": choice["message"].get("content") or "",
            "reasoning": choice["message"].get("reasoning_content") or choice["message"].get("reasoning") or "",
            "tool_calls": choice["message"].get("tool_calls") or [],
            "finish_reason": choice["finish_reason"],
        }
        for choice in answer["choices"]
    }


def message_events(answer, cuts=()):
    """The bytes of a Messages stream of a whole answer, as vLLM 0.32.0 writes them."""
    begin = {**answer, "content": [], "stop_reason": None}
    out = [{"type": "message_start", "message": begin}, {"type": "ping"}]
    for index, block in enumerate(answer["content"]):
        kind = block["type"]
        name = {"text": "text", "thinking": "thinking"}.get(kind)
        empty = {**block, name: ""} if name else {**block, "input": {}}
        out.append({"type": "content_block_start", "index": index, "content_block": empty})
        if name:
            deltas = [{"type": f"{kind}_delta", name: part} for part in pieces(block[name], cuts)]
        else:
            deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        out += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        out.append({"type": "content_block_stop", "index": index})
    out.append(
        {"type": "message_delta", "delta": {"stop_reason": answer["stop_reason"]}, "usage": {"output_tokens": 3}}
    )
    return named_events([*out, {"type": "message_stop"}])


def response_events(answer, cuts=()):
    """The bytes of a Responses stream of a whole answer, as vLLM 0.32.0 writes them."""
    begin = {**answer, "output": [], "status": "in_progress"}
    out = [{"type": "response.created", "response": begin}, {"type": "response.in_progress", "response": begin}]
    for index, item in enumerate(answer["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "function_call":
            out.append({"type": "response.output_item.added", **at, "item": {**item, "arguments": ""}})
            out.append({"type": "response.function_call_arguments.delta", **at, "delta": item["arguments"]})
            out.append({"type": "response.function_call_arguments.done", **at, "arguments": item["arguments"]})
            out.append({"type": "response.output_item.done", **at, "item": item})
            continue
        part = item["content"][0]
        kind, at = part["type"], {**at, "content_index": 0}
        out.append({"type": "response.output_item.added", **at, "item": {**item, "content": []}})
        out.append({"type": "response.content_part.added", **at, "part": {**part, "text": ""}})
        out += [{"type": f"response.{kind}.delta", **at, "delta": text} for text in pieces(part["text"], cuts)]
        out.append({"type": f"response.{kind}.done", **at, "text": part["text"]})
        out.append({"type": "response.content_part.done", **at, "part": part})
        out.append({"type": "response.output_item.done", **at, "item": item})
    last = {"type": f"response.{answer['status']}", "response": answer}
    return named_events([{**value, "sequence_number": number} for number, value in enumerate([*out, last])])


def named_events(values):
    return "".join(f"event: {value['type']}\ndata: {json.dumps(value)}\n\n" for value in values).encode()


def values_of(stream):
    """The JSON of each event, and the comments; each event has its type as its name."""
    values, comments = [], []
    for event in filter(None, stream.decode().split("\n\n")):
        if event.startswith(":"):
            comments.append(event)
            continue
        name, data = event.split("\n")
        values.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {values[-1]['type']}"
    return values, comments


def message_of(stream):
    """A Messages stream put together, blocks without a text left out."""
    values, comments = values_of(stream)
    blocks, reason = [], None
    for value in values:
        if value["type"] == "content_block_start":
            assert value["index"] == len(blocks)
            blocks.append({**value["content_block"], "json": ""})
        elif value["type"] == "content_block_delta":
            delta, block = value["delta"], blocks[value["index"]]
            for name, field in (("text", "text"), ("thinking", "thinking"), ("partial_json", "json")):
                block[field] = block.get(field, "") + delta.get(name, "") if name in delta else block.get(field)
        elif value["type"] == "message_delta":
            reason = value["delta"]["stop_reason"]
    made = []
    for block in blocks:
        text = block.pop("json")
        block = {name: item for name, item in block.items() if item is not None}
        if block["type"] == "tool_use":
            block["input"] = json.loads(text)
        if block["type"] == "tool_use" or block[block["type"]]:
            made.append(block)
    return made, reason, comments


def response_of(stream):
    """The output of a Responses stream, from its deltas, and from its last event; its counting is checked."""
    values, comments = values_of(stream)
    assert [value["sequence_number"] for value in values] == list(range(len(values)))
    items = {}
    for value in values:
        index, kind = value.get("output_index"), value["type"]
        if kind == "response.output_item.added":
            assert index == len(items)
            items[index] = {"said": "", "item": value["item"]}
        elif kind.endswith(".delta"):
            items[index]["said"] += value["delta"]
        elif kind in ("response.output_text.done", "response.reasoning_text.done"):
            assert value["text"] == items[index]["said"]
        elif kind == "response.function_call_arguments.done":
            assert value["arguments"] == items[index]["said"]
        elif kind == "response.content_part.done":
            assert value["part"]["text"] == items[index]["said"]
        elif kind == "response.output_item.done":
            done = value["item"]
            assert items[index]["said"] == (done.get("arguments") or done.get("content", [{"text": ""}])[0]["text"])
            items[index]["done"] = done
    return [item["done"] for item in items.values()], values[-1]["response"], comments
