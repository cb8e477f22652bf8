"""What ``k2lab check`` costs a line: results as K2VV's runner writes them, looked at whole.

Lines of a request with its answer and three tools, of 1 to 2 kB, of which some have a fault; a part of them with a
history of calls. Beside it in the same run what one would write by hand: json.loads and jsonschema on the arguments
of each call. Run it as ``python -m benchmarks.check_speed``; times are CPU seconds of this process, the least of a few.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import jsonschema

from k2lab.check import look_at

NAMES = ("get_weather", "search_news", "book_table")
KEYS = {"get_weather": "city", "search_news": "query", "book_table": "place"}


def tool(name):
    properties = {
        KEYS[name]: {"type": "string", "description": "What it is about."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 50},
        "unit": {"type": "string", "enum": ["metric", "imperial"]},
    }
    parameters = {"type": "object", "properties": properties, "required": [KEYS[name]]}
    return {"type": "function", "function": {"name": name, "description": f"Use {name}.", "parameters": parameters}}


def call(name, index, value):
    arguments = json.dumps({KEYS[name]: value, "limit": 3})
    function = {"name": name, "arguments": arguments}
    return {"id": f"functions.{name}:{index}", "type": "function", "function": function}


def line(number, rng):
    name = rng.choice(NAMES)
    messages = [
        {"role": "system", "content": "You are Kimi, an AI assistant created by Moonshot AI."},
        {"role": "user", "content": f"Question {number}: what about place {number % 97}? " + "Please be brief. " * 5},
    ]
    history = number % 3 == 0
    if history:
        messages += [
            {"role": "assistant", "content": None, "tool_calls": [call(rng.choice(NAMES), 0, "Paris")]},
            {"role": "tool", "tool_call_id": "", "content": "Twelve degrees."},
            {"role": "user", "content": "And tomorrow?"},
        ]
        messages[3]["tool_call_id"] = messages[2]["tool_calls"][0]["id"]
    made = call(name, int(history), f"place {number % 97}")
    if number % 20 == 0:  # a fault in one of twenty
        made["function"]["arguments"] = '{"limit": 99}'
    said = {"role": "assistant", "content": None, "tool_calls": [made]}
    answer = {"id": "c", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": said}], "usage": {}}
    request = {"model": "kimi-k2-0905-preview", "messages": messages, "tools": [tool(one) for one in NAMES]}
    return {"data_index": number, "request": request, "response": answer, "status": "success"}


def written(path, lines):
    rng = random.Random(0)
    with path.open("w") as file:
        for number in range(lines):
            file.write(json.dumps(line(number, rng)) + "\n")


def by_hand(path):
    """The arguments of each call against the schema of its tool, as one writes it in ten lines."""
    wrong = 0
    with path.open() as file:
        for text in file:
            data = json.loads(text)
            schemas = {one["function"]["name"]: one["function"]["parameters"] for one in data["request"]["tools"]}
            for made in data["response"]["choices"][0]["message"]["tool_calls"]:
                function = made["function"]
                try:
                    jsonschema.validate(json.loads(function["arguments"]), schemas[function["name"]])
                except jsonschema.ValidationError:
                    wrong += 1
    return wrong


def least(function, times):
    taken = []
    for _ in range(times):
        begun = time.process_time()
        found = function()
        taken.append(time.process_time() - begun)
    return min(taken), found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "results.jsonl"
        written(path, options.lines)
        size = path.stat().st_size / options.lines
        print(f"{options.lines:,} lines of {size:,.0f} bytes")
        taken, made = least(lambda: look_at(str(path)), options.times)
        print(f"k2lab check           {options.lines / taken:>8,.0f} lines/s, {len(made.present):,} findings")
        few = max(1, options.times // 3)
        taken, wrong = least(lambda: by_hand(path), few)
        print(f"json.loads+jsonschema {options.lines / taken:>8,.0f} lines/s, {wrong:,} invalid calls, nothing else")


if __name__ == "__main__":
    main()
