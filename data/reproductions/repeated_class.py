r"""xgrammar lets a string of a JSON Schema break where its pattern repeats a negated class more than 128 times.

Run with an interpreter that has xgrammar 0.2.8, such as that of vLLM 0.32.0:

    python repeated_class.py

Within a JSON string a negated class, such as ``[^<]``, must leave out what would
end the string or is not allowed in it: the quote, the backslash, control
characters. With up to 128 repetitions it does. From 129 on the repetition is
counted instead of written out, and the class is then taken as it stands: a raw
line break passes, and so does an escape that JSON does not have, after which no
parser reads the arguments of the tool call.

The script needs no model. It prints what it finds and exits with 1 where every
text is refused.
"""

import json
import sys
from importlib.metadata import version

import xgrammar

BYTES = [bytes([value]) for value in range(256)] + [b"</s>"]
TEXTS = {
    "a raw line break": '{"name": "a\nb"}',
    "no escape of JSON": '{"name": "a\\qb"}',
    "an open end": '{"name": "\\"}',
}


def admits(repeats: int, text: str) -> bool:
    """Whether the grammar of a schema takes the text as a whole answer."""
    name = {"type": "string", "pattern": f"^[^<]{{0,{repeats}}}$"}
    schema = {"type": "object", "properties": {"name": name}, "required": ["name"], "additionalProperties": False}
    info = xgrammar.TokenizerInfo(BYTES, vocab_size=257, stop_token_ids=[256])
    compiled = xgrammar.GrammarCompiler(info, cache_enabled=False).compile_json_schema(json.dumps(schema))
    matcher = xgrammar.GrammarMatcher(compiled)
    return bool(matcher.accept_string(text)) and matcher.is_completed()


def main() -> int:
    """Ask for 128 and for 129 repetitions."""
    print("xgrammar", version("xgrammar"))
    found = {(repeats, kind): admits(repeats, text) for repeats in (128, 129) for kind, text in TEXTS.items()}
    for (repeats, kind), admitted in found.items():
        print(f"[^<]{{0,{repeats}}} {kind:18} {TEXTS[kind]!r:22} {'admitted' if admitted else 'refused'}")
    return 0 if any(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
