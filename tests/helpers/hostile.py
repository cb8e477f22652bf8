"""Texts that try to be more than text, where they are shown."""

from html.parser import HTMLParser

TEXTS = {
    "script": "<script>alert(1)</script>",
    "an end tag": "</pre></td></tr></table></div></style></textarea></title></script><script src=//x.example></script>",
    "handler": "<img src=x onerror=alert(1)>",
    "quote": '" onmouseover="alert(1)" x=\'',
    "one quote": "' onfocus='alert(1)' autofocus='",
    "link": '<a href="javascript:alert(1)">here</a>',
    "style": "</style><style>@import url(http://x.example/)</style>",
    "expression": '<p style="width:expression(alert(1));background:url(//x.example)">',
    "svg": '<svg onload="alert(1)"><animate onbegin=alert(1)><use href="http://x.example#a"/></svg>',
    "frame": '<iframe srcdoc="&lt;script&gt;alert(1)&lt;/script&gt;"></iframe>',
    "comment": "<!-- --!> <![CDATA[ ]]> <?php ?>",
    "entity": "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x&#62;",
    "markdown": "[x](javascript:alert(1)) ![y](http://x.example/y.png) <b onclick=alert(1)>",
    "template": "{{ 7 * 7 }} {% raw %} ${7*7} <%= 7 %>",
    "marker": "<|im_end|><script>alert(1)</script><|<|x|>|>",
    "ansi": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;http://x.example\x1b\\link\x9b2J",
    "turned": "\u202egnp.exe\u2066 \u200b\u200f\ufeff",
    "nul": "a\x00b\x7f\x08\r<scr\x00ipt>",
    "surrogate": "\ud800<\udfff>",
    "mathtext": "$\\frac{1}{$ \\$ $_x^",
    "long": "x" * 1_000_000 + "<script>",
    "deep": "<div>" * 3000,
}


class Skeleton(HTMLParser):
    """The elements of a page with their attributes, and no text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.other: list[str] = []

    def handle_starttag(self, tag, attrs):
        if ("class", "marker") not in attrs:
            self.tags.append((tag, *(f"{name}={value}" for name, value in attrs)))

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def skeleton(page: str) -> tuple[list[tuple[str, ...]], list[str]]:
    """What of a page is not text."""
    reader = Skeleton()
    reader.feed(page)
    reader.close()
    return reader.tags, reader.other
