"""K3's answers as its renderer writes them, made by hand: no word of the code that is tested."""

import json
import re

MARKERS = ("<|open|>", "<|close|>", "<|sep|>", "<|end_of_msg|>")
BLANK = re.compile(r"[ \n\r\t]*")


def attribute(text):
    return text.replace("&", "&amp;").replace('"', "&quot;")


def kind_of(value):
    names = {bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object"}
    return names.get(type(value), "null")


def argument(key, value, text=None):
    """An argument of a value, which other than a string stands as ``text`` where that is given."""
    said = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if text is None else text
    return f'<|open|>argument key="{attribute(key)}" type="{kind_of(value)}"<|sep|>{said}<|close|>argument<|sep|>'


def call(name, arguments=(), index=1):
    """A call with arguments, a mapping or what is between the call's tags."""
    inside = arguments if isinstance(arguments, str) else "".join(argument(*pair) for pair in dict(arguments).items())
    return f'<|open|>call tool="{attribute(name)}" index="{index}"<|sep|>{inside}<|close|>call<|sep|>'


def answer(*calls, text="", end="<|close|>message<|sep|>"):
    """An answer behind its reasoning: the response, then the calls."""
    tools = f"<|open|>tools<|sep|>{''.join(calls)}<|close|>tools<|sep|>" if calls else ""
    return f"<|open|>response<|sep|>{text}<|close|>response<|sep|>{tools}{end}"


def arguments_of(text):
    """The arguments that stand for a JSON object as it is spelled; a string stands raw, and all else as in the JSON."""
    return "".join(argument(*member) for member in members(text))


def members(text):
    """Each key of a JSON object with its value and the text of that, a key that stands twice twice."""
    decode = json.JSONDecoder().raw_decode
    place = BLANK.match(text, text.index("{") + 1).end()
    while text[place] != "}":
        key, place = decode(text, place)
        begin = BLANK.match(text, text.index(":", place) + 1).end()
        value, end = decode(text, begin)
        yield key, value, text[begin:end]
        place = BLANK.match(text, end).end()
        if text[place] == ",":
            place = BLANK.match(text, place + 1).end()
