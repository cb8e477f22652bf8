"""A chat request and a chat answer said in the words of the Responses and the Messages API."""

import json


def flat(tool):
    return {"type": "function", **tool["function"]}


def with_input_schema(tool):
    function = {**tool["function"]}
    return {"input_schema": function.pop("parameters", {"type": "object"}), **function}


def responses_request(request):
    """Messages as items; a system message first as the instructions."""
    messages = list(request["messages"])
    made = {name: request[name] for name in ("model", "parallel_tool_calls") if name in request}
    if messages and messages[0]["role"] == "system":
        made["instructions"] = messages.pop(0)["content"]
    items = []
    for message in messages:
        if message["role"] == "tool":
            output = {"call_id": message.get("tool_call_id"), "output": message["content"]}
            items.append({"type": "function_call_output", **output})
            continue
        if message.get("reasoning_content"):
            texts = [{"type": "reasoning_text", "text": message["reasoning_content"]}]
            items.append({"type": "reasoning", "id": "rs_1", "summary": [], "content": texts})
        if message.get("content") is not None:
            items.append({"role": message["role"], "content": message["content"]})
        items += [{"type": "function_call", "call_id": call["id"], **call["function"]} for call in calls_of(message)]
    choice = request.get("tool_choice")
    if isinstance(choice, dict) and "function" in choice:
        choice = {"type": "function", "name": choice["function"]["name"]}
    made |= {"input": items, **({"tool_choice": choice} if choice else {})}
    return made | ({"tools": [flat(tool) for tool in request["tools"]]} if request.get("tools") else {})


def messages_request(request):
    """Calls and results as blocks; results of one turn in one message."""
    made = {"max_tokens": 4096, "messages": [], **({"model": request["model"]} if "model" in request else {})}
    for message in request["messages"]:
        last = made["messages"][-1] if made["messages"] else {"role": None}
        if message["role"] == "system":
            made["system"] = message["content"]
        elif message["role"] == "tool":
            block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": message["content"]}
            if last["role"] == "user" and last["content"][-1]["type"] == "tool_result":
                last["content"].append(block)
            else:
                made["messages"].append({"role": "user", "content": [block]})
        else:
            made["messages"].append({"role": message["role"], "content": blocks_of(message)})
    choice = request.get("tool_choice")
    if choice:
        named = choice if isinstance(choice, str) else choice["function"]["name"]
        kinds = {"auto": "auto", "required": "any", "none": "none"}
        made["tool_choice"] = {"type": kinds[named]} if named in kinds else {"type": "tool", "name": named}
    if "parallel_tool_calls" in request:
        made["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": not request["parallel_tool_calls"]}
    if request.get("tools"):
        made["tools"] = [with_input_schema(tool) for tool in request["tools"]]
    return made


def responses_answer(answer):
    choice = answer["choices"][0]
    message, output = choice["message"], []
    if message.get("reasoning_content"):
        texts = [{"type": "reasoning_text", "text": message["reasoning_content"]}]
        output.append({"type": "reasoning", "id": "rs_1", "summary": [], "content": texts})
    if message.get("content"):
        text = {"type": "output_text", "text": message["content"], "annotations": []}
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]})
    output += [
        {"type": "function_call", "id": f"fc_{n}", "call_id": call["id"], "status": "completed", **call["function"]}
        for n, call in enumerate(calls_of(message))
    ]
    cut = choice["finish_reason"] == "length"
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "kimi-k2", "output": output,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None,
    }  # fmt: skip


def messages_answer(answer):
    choice = answer["choices"][0]
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "kimi-k2",
        "content": blocks_of(choice["message"]),
        "stop_reason": reasons.get(choice["finish_reason"], choice["finish_reason"]), "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip


def blocks_of(message):
    blocks = []
    if message.get("reasoning_content"):
        blocks.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
    if message.get("content"):
        blocks.append({"type": "text", "text": message["content"]})
    return blocks + [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"],
         "input": json.loads(call["function"]["arguments"])}
        for call in calls_of(message)
    ]  # fmt: skip


def calls_of(message):
    return message.get("tool_calls") or []


REQUESTS = {"responses": responses_request, "messages": messages_request}
ANSWERS = {"responses": responses_answer, "messages": messages_answer}
