"""What is kept out of a record: found however it is written, and nothing else is touched."""

import contextlib
import json
from collections import Counter
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k2lab.bench.stream import Assembly
from k2lab.errors import InputError
from k2lab.traffic import redaction, secrets
from k2lab.traffic.exchanges import Passed
from tests.helpers.effort import assert_linear, examples

ALNUM = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def letters(least, most=60):
    return st.text(ALNUM, min_size=least, max_size=most)


KEYS = st.one_of(
    *(letters(20).map(prefix.__add__) for prefix in ("sk-", "sk-ant-api03-", "hf_", "ghp_", "gsk_", "Bearer ")),
    st.text("ABCDEFGHIJKLMNOP234567", min_size=16, max_size=16).map("AKIA".__add__),
    st.tuples(letters(8), letters(8), letters(20)).map(lambda parts: "eyJ" + ".".join(parts)),
    letters(64, 64).map(lambda text: f"-----BEGIN RSA PRIVATE KEY-----\n{text}\n{text}\n-----END RSA PRIVATE KEY-----"),
)
MAILS = st.tuples(letters(1, 20), letters(1, 20)).map(lambda parts: f"{parts[0]}@{parts[1]}.example.com")
BESIDE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).map(lambda text: f"{text} ")
RULES = redaction.Redaction(rules=secrets.rules_of(("keys", "mails"), ["badge=B-[0-9]{4,}"]))
BADGES = st.integers(1000, 10**9).map("B-{}".format)
SECRET = st.one_of(KEYS, MAILS, BADGES)
PIECE = st.sampled_from(("content", "reasoning_content", "arguments"))


def written(draw, text):
    """The string in JSON, with some of its characters escaped that need not be."""
    return "".join(
        f"\\u{ord(char):04x}" if ord(char) < 0x10000 and draw(st.booleans()) else json.dumps(char)[1:-1]
        for char in text
    )


@st.composite
def documents(draw):
    """JSON with a secret in it, down to a text of JSON in a string, and the secret."""
    secret = draw(SECRET)
    text = draw(BESIDE) + secret + " " + draw(BESIDE)
    for _ in range(draw(st.integers(0, 2))):
        text = json.dumps({"in": text, "n": [1, True]}) if draw(st.booleans()) else f'{{"in": "{written(draw, text)}"}}'
    return f'{{"messages": [{{"content": "{written(draw, text)}"}}], "n": 1.5}}'.encode(), secret


def body(data, kind="application/json", rules=RULES):
    counts = Counter()
    return rules.body(data, kind, counts), counts


def told(value):
    """All that a JSON value says, with what texts of JSON in it say."""
    if isinstance(value, str):
        yield value
        with contextlib.suppress(ValueError):
            yield from told(json.loads(value)) if value[:1] in ("{", "[") else ()
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from (name, *told(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from told(inner)


@examples(400)
@given(case=documents())
def test_a_secret_is_found_however_it_is_escaped_and_the_json_stays_json(case):
    data, secret = case
    made, counts = body(data)
    assert counts and not any(secret in text for text in told(json.loads(made)))
    assert set(json.loads(made)) == {"messages", "n"} and len(made) < 8 * len(data) + 5000


def event(name, text, index=0):
    if name == "arguments":
        return {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": index, "function": {name: text}}]}}]}
    return {"choices": [{"index": index, "delta": {name: text}}]}


def pieces(draw, text):
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw):
    """A stream that gives a secret in pieces, two texts at a time, and the secret."""
    secret, name, other = draw(SECRET), draw(PIECE), draw(PIECE)
    text = draw(BESIDE) + secret + " " + draw(BESIDE)
    if name == "arguments":
        text = f'{{"in": "{written(draw, text)}"}}'
    first = [event(name, piece) for piece in pieces(draw, text)]
    second = [event(other, piece, 1) for piece in pieces(draw, draw(BESIDE))]
    mixed = []
    while first or second:
        mixed.append((first if first and (not second or draw(st.booleans())) else second).pop(0))
    lines = [f"data: {json.dumps(one, ensure_ascii=draw(st.booleans()))}\n\n" for one in mixed]
    return "".join([": hello\n\n", *lines, "data: [DONE]\n\n"]).encode(), name, text, secret


def assembled(data, name):
    """What a client puts together of a stream's first texts."""
    texts = []
    for line in data.decode().split("\n"):
        if line.startswith("data: {"):
            choice = json.loads(line[6:])["choices"][0]
            call = choice["delta"].get("tool_calls")
            given_ = {**choice["delta"], **(call[0]["function"] if call else {})}
            if (call[0] if call else choice)["index"] == 0:
                texts.append(given_.get(name) or "")
    return "".join(texts)


@examples(400)
@given(case=streams())
def test_a_secret_that_is_streamed_in_pieces_cannot_be_put_together(case):
    data, name, text, secret = case
    made, counts = body(data, "text/event-stream; charset=utf-8")
    put_together = assembled(made, name)
    said = list(told(json.loads(put_together))) if name == "arguments" else [put_together]
    assert assembled(data, name) == text and counts and not any(secret in one for one in said)
    assert made.count(b"\n\n") == data.count(b"\n\n") and made.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("parts", [["sk-", "0123456789", "abcdefgh end"], ["a sk-0123456789abcdefgh", " end"]])
def test_other_pieces_stay_and_a_client_reads_the_rest(parts):
    data = "".join(f"data: {json.dumps(event('content', part))}\n\n" for part in ["Hi. ", *parts, " Bye"]).encode()
    assembly = Assembly()
    for line in body(data, "text/event-stream")[0].decode().split("\n\n")[:-1]:
        assembly.event(json.loads(line[6:]))
    content = assembly.response()["choices"][0]["message"]["content"]
    assert "[key]" in content and "abcdefgh" not in content and content.startswith("Hi. ") and content.endswith(" Bye")


@examples(300)
@given(data=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: json.dumps({"a": text}).encode()))
def test_what_holds_nothing_is_the_same_object(data):
    made, counts = body(data, rules=redaction.Redaction(rules=secrets.rules_of()))
    assert counts or made is data


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": "me@b.example.com", "n": 12}', '{"a": "[mail]", "n": 12}'),
        ('{"a": "\\nme@b.example.com \\u00e9"}', '{"a": "\\n[mail] é"}'),
        ('{"url": "https://u:pass@h/x?api_key=abcdef12"}', '{"url": "https://[key]h/x?api_key=[key]"}'),
        ('{"url": "https:\\/\\/u:pass@h.example"}', '{"url": "https://[key]h.example"}'),
        ('{"repo": "ssh://git@github.com/a"}', '{"repo": "ssh://git@github.com/a"}'),
        ('{"ask-0123456789abcdefghij": 1}', '{"ask-0123456789abcdefghij": 1}'),
        ("key sk-0123456789abcdefghij", "key [key]"),
        ('{"broken": "sk-0123456789abcdefghij', '{"broken": "[key]'),
        ('{"a": "\\ud800 sk-0123456789abcdefghij"}', '{"a":"\\ud800 [key]"}'.replace(":", ": ", 1)),
        ('{"a": "x\\q sk-0123456789abcdefghij"}', '{"a": "[redacted]"}'),
        ('{"a": "B-12345"}', '{"a": "[redacted:badge]"}'),
    ],
)
def test_what_becomes_of(text, expected):
    assert body(text.encode())[0].decode() == expected


def test_a_number_in_which_a_pattern_finds_something_becomes_a_string():
    rules = redaction.Redaction(rules=secrets.rules_of((), ["card=[0-9]{16}"]))
    made, counts = body(b'{"card": 4111111111111111, "n": [1, 2]}', rules=rules)
    assert json.loads(made) == {"card": "[redacted:card]", "n": [1, 2]} and counts == {"card": 1}


def test_a_text_in_which_everything_is_found_does_not_grow_without_bound():
    rules = redaction.Redaction(rules=secrets.rules_of((), ["x=x"]))
    made, _ = body(json.dumps("x-" * 100_000).encode(), rules=rules)
    assert made == b'"[redacted]"'


def test_a_body_that_could_not_be_unpacked_is_left_out_and_the_path_is_gone_through():
    key = "sk-0123456789abcdefghij"
    passed = Passed(key="1", started_at=1.0, method="GET", path=f"/v1/{key}", status=200, ended="whole",
                    request=b"packed", answer=b"{}", request_type="a/b; encoding=br")  # fmt: skip
    made, counts = RULES.passed(passed)
    assert made.path == "/v1/[key]" and b"packed" not in made.request and counts == {"unreadable": 1, "key": 1}
    assert redaction.Redaction().passed(passed) == (passed, {})


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["B=x"], "is no rule: write NAME=PATTERN"),
        (["b"], "is no rule"),
        (["b="], "is no rule"),
        ([r"b=(a)\1"], "is none of RE2's: invalid escape"),
        (["b=x*"], "finds nothing at all in any text"),
    ],
)
def test_a_pattern_that_is_none_is_refused_in_one_line(patterns, said, capfd):
    with pytest.raises(InputError, match=said) as no:
        secrets.rules_of((), patterns)
    assert "\n" not in str(no.value) and capfd.readouterr() == ("", "")
    with pytest.raises(InputError, match="there is no rule 'x'"):
        secrets.rules_of(("x",))


@pytest.mark.parametrize(
    "unit", ["sk-", "a.", "eyJ", "-----BEGIN PRIVATE KEY-----", "https://", "a@", '"', "\\", '{"a":"', "Bearer ", "é@"]
)
def test_time_grows_with_the_text_alone(unit):
    rules = redaction.Redaction(rules=secrets.rules_of(("keys", "mails"), ["slow=(a+)+b"]))
    assert_linear(lambda text: rules.body(text.encode(), "application/json", Counter()), unit)


def test_a_key_across_the_end_of_a_window_is_found():
    key = "sk-0123456789abcdefghij"
    for before in range(secrets.WINDOW - 30, secrets.WINDOW + 3, 3):
        made, counts = body(json.dumps(" " * before + key + " end").encode())
        assert counts == {"key": 1} and key.encode() not in made


ASKED = st.tuples(st.sampled_from(("api-key", "access_token", "sig")), letters(6)).map(lambda it: "?{}={}".format(*it))


@given(secret=KEYS | MAILS | ASKED, around=st.integers(-120, 120))
def test_passing_over_what_holds_no_hint_changes_nothing_that_is_found(secret, around):
    text = "." * (512 + around) + f" {secret} " + "." * 512
    with mock.patch.multiple(secrets, WINDOW=512, LONGEST=256):
        for rule, pattern in zip(secrets.rules_of(("keys", "mails")), (secrets.KEY, secrets.MAIL), strict=True):
            assert list(rule.spans(text)) == [match.span() for match in pattern.finditer(text)]
