"""Each format against its standard's grammar: what it admits and what not, in the pattern and in the engine."""

import json
import re

import pytest

from k2lab.enforcer.schema import formats
from k2lab.enforcer.schema.translation import translate
from tests.helpers.schemas import exact

LABEL = "a" * 63
VALID = {
    "date": ["1999-12-31", "2024-02-29", "2000-02-29", "2023-04-30", "0001-01-01", "0400-02-29"],
    "time": ["00:00:00Z", "23:59:59.999z", "12:30:00+05:45", "12:30:00-00:00", "23:59:60Z", "15:59:60.5-08:00"],
    "date-time": [
        "2024-02-29T23:59:59Z",
        "2024-02-28t07:00:00.123456789z",
        "2016-12-31T23:59:60Z",
        "2017-01-01T08:59:60+09:00",
        "1999-01-01T00:00:00-12:00",
    ],
    "duration": ["P1Y", "P1Y2M3DT4H5M6S", "PT0S", "P3W", "PT90M", "P1M", "P1MT1M", "P10DT5S", "pt5m"],
    "email": [
        "a@b.c",
        "a@b",
        "first.last+tag@sub-1.example.org",
        "o'neil_{x}|~@example.com",
        '"two words"@example.com',
        '"a\\"b\\\\c"@example.com',
        '"@"@example.com',
        "me@[192.0.2.7]",
        "me@[IPv6:2001:db8::7]",
        "me@[IPv6:::ffff:192.0.2.7]",
    ],
    "idn-email": ["用户@例子.公司", "grüße@büro.example", "plain@example.com", '"ü ü"@x.y'],
    "hostname": ["localhost", "a", "7", "a-b.c--d.example", LABEL, f"{LABEL}.{LABEL}", "1.2.3", "xn--mnchen-3ya.de"],
    "idn-hostname": ["münchen.de", "例子。测试", "a.b", "xn--mnchen-3ya", "a-ü"],
    "ipv4": ["0.0.0.0", "255.255.255.255", "192.168.10.1", "9.99.199.249"],
    "ipv6": [
        "::",
        "::1",
        "1::",
        "2001:db8::8a2e:370:7334",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "::ffff:1.2.3.4",
        "1:2:3:4:5:6:1.2.3.4",
        "64:ff9b::192.0.2.33",
        "FE80::A",
    ],
    "uri": [
        "http://[::1]:8080/x",
        "http://[::ffff:10.0.0.1]/",
        "http://[v7.a:b]/",
        "https://user:pa%20ss@example.com:443/a/b;c=1?q=a/b?c#f/g?h",
        "file:///etc/hosts",
        "mailto:a@b.c",
        "urn:isbn:0451450523",
        "a:",
        "http://example.com",
        "HTTP://EXAMPLE.COM:/",
        "data:text/plain,a%20b",
        "x-y.z+1://h",
    ],
    "uri-reference": [
        "https://example.com/a?b#c",
        "http://[::1]/",
        "//example.com/a",
        "/a/b",
        "a/b:c",
        "./a:b",
        "../..",
        "?q",
        "#",
        "",
        "mailto:a@b.c",
        "%20",
        "@x",
    ],
    "iri": ["https://例子.测试/路径?问=答#片", "http://[::1]/ü", "urn:ü", "http://x/?\ue000"],
    "iri-reference": ["路径", "/ü", "#ü", "", "https://例子.测试/", "//ü/", "a/ü:b"],
    "uri-template": ["/users/{id}", "{+path}/x{?q,lang}", "{/a*,b:3}", "plain", "", "{a.b}", "ü/{%20}", "{#x}", "it's"],
    "uuid": ["00000000-0000-0000-0000-000000000000", "F81D4FAE-7dec-11d0-a765-00a0c91e6bf6"],
    "json-pointer": ["", "/", "/a/b", "/a~1b/~0", "//", '/ü"\\\n/x', "/\x00", "/a:<b"],
    "relative-json-pointer": ["0", "1/a", "12#", "0+1/a", "3-2", "0/", "2/~0"],
}
INVALID = {
    "date": [
        "2023-02-29",
        "1900-02-29",
        "2024-13-01",
        "2024-00-10",
        "2024-04-31",
        "2024-1-01",
        "24-01-01",
        "2024-02-30",
        "2024-01-01Z",
        "2024/01/01",
        "",
        "20240101",
    ],
    "time": [
        "24:00:00Z",
        "12:60:00Z",
        "12:00:61Z",
        "12:00:00",
        "12:00Z",
        "12:00:00+24:00",
        "12:00:00.Z",
        "22:59:60Z",
        "12:00:00+0100",
        "1:00:00Z",
        "",
    ],
    "date-time": [
        "2024-01-01",
        "2024-01-01 00:00:00Z",
        "2023-02-29T00:00:00Z",
        "2024-01-01T00:00:00",
        "12:00:00Z",
        "2024-01-01T25:00:00Z",
        "2016-12-31T22:59:60Z",
        "2024-01-01T00:00:00+01",
    ],
    "duration": ["P", "PT", "P1", "1D", "P1YT", "P1D1Y", "P1Y1D", "PT1H1S", "P1W1D", "PT1.5S", "-P1D", "PT1D", "P1H"],
    "email": [
        "a",
        "@b",
        "a@",
        "a@@b",
        "a b@c",
        ".a@b",
        "a.@b",
        "a..b@c",
        "a@-b",
        "a@b-",
        "a@b..c",
        "a@b_c",
        "a@[300.1.1.1]",
        "a@[1.2.3]",
        "a@[IPv6:1]",
        '"a@b',
        'a"b@c',
        "a@b.",
        "ü@b",
        "Name <a@b>",
    ],
    "idn-email": ["用户", "@例子", "a b@c", "a@", "ü@ü..ü", "ü@-ü"],
    "hostname": ["", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "a b", "a" * 64, f"x.{'a' * 64}", "ü", "a/b", "a:1"],
    "idn-hostname": ["", ".", "a.", "-ü", "ü-", "a b", "a_b", "ü..ü", "ü。", "$"],
    "ipv4": ["256.1.1.1", "1.1.1", "1.1.1.1.1", "01.1.1.1", "1.1.1.1/8", "", "a.b.c.d", "1.1.1.-1"],
    "ipv6": [
        "",
        ":",
        ":::",
        "1",
        "1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7:8:9",
        "1::2::3",
        "12345::",
        "::g",
        "::1.2.3",
        "::256.1.1.1",
        "1:2:3:4:5:6:7:1.2.3.4",
        "::1%eth0",
        "[::1]",
        "::01.2.3.4",
        "1:2:3:4:5:6:7:8::",
    ],
    "uri": [
        "",
        "a",
        "/a",
        "//a",
        "http//a",
        "1a:b",
        "http://a b",
        "http://[::1",
        "http://[1]",
        "http://a:b/",
        "http://a/%zz",
        "http://a/<b>",
        "http://ü/",
        "http://a/^",
        "http://[::1]x/",
        'http://a/"',
        "http://a\\b",
        "a_b:c",
        "http://a/#b#c",
    ],
    "uri-reference": ["a b", "1:b", ":a", "%", "/%2", "//[::1", "//a:b/", "#a#b", "<", "ü", "a\\b", "//a@b@c/", "/[a]"],
    "iri": ["", "路径", "/ü", "http://ü ü/", "http://x/#\ue000", "http://x/<", "http://a\\b"],
    "iri-reference": ["ü ü", "#a#b", "ü:x y", "\\\\ü", "<ü>", "1:ü"],
    "uri-template": [
        "{",
        "}",
        "{}",
        "{a",
        "{a b}",
        "{a:0}",
        "{a:10000}",
        "{a,}",
        "{-a}",
        "a b",
        "{a..b}",
        "%",
        "<a>",
        "{a*b}",
    ],
    "uuid": [
        "",
        "f81d4fae7dec11d0a76500a0c91e6bf6",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf",
        "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}",
        "g81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ],
    "json-pointer": ["a", "a/b", "/~", "/~2", "#/a", "/a~"],
    "relative-json-pointer": ["", "/a", "01", "-1", "1a", "0##", "1#/a", "0+0", "0/~2", "a"],
}


@pytest.mark.parametrize("name", formats.FORMATS)
def test_a_format_is_held_to_its_grammar_on_both_sides(name):
    pattern = re.compile(formats.FORMATS[name])
    assert [text for text in VALID[name] if not pattern.fullmatch(text)] == []
    assert [text for text in INVALID[name] if pattern.fullmatch(text)] == []


@pytest.mark.live
@pytest.mark.parametrize("name", formats.FORMATS)
def test_the_engine_holds_a_format_on_both_sides(accepted, name):
    schema = exact(translate({"type": "string", "format": name}).schema)
    tag = {"type": "structural_tag", "format": {"type": "json_schema", "json_schema": schema}}
    texts = [json.dumps(text, ensure_ascii=False) for text in [*VALID[name], *INVALID[name]]]
    wanted = [True] * len(VALID[name]) + [False] * len(INVALID[name])
    found = accepted(tag, texts)
    assert [text for text, was, is_ in zip(texts, wanted, found, strict=True) if was != is_] == []


def test_what_a_format_leaves_open_is_named_and_no_assertion():
    for name in (*formats.FORMATS, *formats.OPEN):
        limits = translate({"type": "string", "format": name}).limits
        assert [limit.keyword for limit in limits] == ["format"] * (name in formats.OPEN)
        assert not any(limit.asserted for limit in limits)
    assert translate({"type": "string", "format": "regex"}).schema == {"type": "string"}
    assert translate({"type": "string", "format": "color"}) == translate({"type": "string"})


@pytest.mark.parametrize(
    ("beside", "schema", "limits"),
    [
        ({"minLength": 1}, {"pattern": formats.whole("uri").text}, []),
        ({"minLength": 9, "maxLength": 99}, {"minLength": 9, "maxLength": 99}, [("format", False)]),
        ({"maxLength": 2048}, {"pattern": formats.whole("uri").text}, [("maxLength", True)]),
        (
            {"pattern": "^http"},
            {"pattern": "http" + translate({"pattern": "^"}).schema["pattern"]},
            [("format", False)],
        ),
        ({"pattern": "(?=a)"}, {"pattern": formats.whole("uri").text}, [("pattern", True)]),
    ],
)
def test_what_is_asserted_beside_a_format_goes_first(beside, schema, limits):
    found = translate({"type": "string", "format": "uri", **beside})
    assert found.schema == {"type": "string", **schema}
    assert [(limit.keyword, limit.asserted) for limit in found.limits] == limits


def test_of_two_formats_the_one_that_is_known_is_held():
    both = {"allOf": [{"type": "string", "format": "phone"}, {"format": "ipv4"}]}
    assert translate(both) == translate({"type": "string", "format": "ipv4"})
    both["allOf"].append({"format": "ipv6"})
    assert [limit.keyword for limit in translate(both).limits] == ["format"]
