"""What a browser would fetch is found in elements and styles, and never in text."""

import doctest

import pytest

from k2lab.notebook import fetching
from k2lab.notebook.fetching import fetched

ELSEWHERE = "https://example.org/x"


@pytest.mark.parametrize(
    "page",
    [
        f'<img src="{ELSEWHERE}">',
        f"<IMG SRC={ELSEWHERE}>",
        '<img src="//example.org/x">',
        '<img src=" \\\\example.org/x">',
        '<img src="ht\ntps://example.org/x">',
        '<img src="http&#58;//example.org/x">',
        '<img src="ftp://example.org/x">',
        f'<img srcset="data:image/png;base64,AA 1x, {ELSEWHERE} 2x">',
        f'<script src="{ELSEWHERE}"></script>',
        f'<script type="module">import x from "{ELSEWHERE}"</script>',
        f"<script>fetch('{ELSEWHERE}')</script>",
        f'<link rel="stylesheet" href="{ELSEWHERE}">',
        f'<base href="{ELSEWHERE}">',
        f'<iframe src="{ELSEWHERE}"></iframe>',
        f'<iframe srcdoc="&lt;img src={ELSEWHERE}&gt;"></iframe>',
        f'<video poster="{ELSEWHERE}"></video>',
        f'<object data="{ELSEWHERE}"></object>',
        f'<body background="{ELSEWHERE}">',
        f'<meta http-equiv="Refresh" content="0; url={ELSEWHERE}">',
        f"<style>@import url({ELSEWHERE});</style>",
        f'<style>@import "{ELSEWHERE}";</style>',
        f"<style>p {{ background: u\\72l('{ELSEWHERE}') }}</style>",
        f'<style>p {{ background: image-set("{ELSEWHERE}" 1x) }}</style>',
        f"<style>@font-face {{ src: url( /* why */ {ELSEWHERE}) }}</style>",
        f'<p style="background:url({ELSEWHERE})">',
        f'<svg><image href="{ELSEWHERE}"/></svg>',
        f'<svg><use xlink:href="{ELSEWHERE}#a"/></svg>',
        f'<svg><rect fill="url({ELSEWHERE}#a)"/></svg>',
        f'<svg><image><set attributeName="href" to="{ELSEWHERE}"/></image></svg>',
    ],
)
def test_what_is_fetched_is_found(page):
    assert fetched(f"<html><body><p>before</p>{page}</body></html>")


@pytest.mark.parametrize(
    "page",
    [
        f"@import url({ELSEWHERE})",
        f'<p>import "{ELSEWHERE}"</p>',
        f"&lt;img src={ELSEWHERE}&gt;",
        f"<pre>&lt;style&gt;@import url({ELSEWHERE})&lt;/style&gt;</pre>",
        f'<a href="{ELSEWHERE}">a click</a>',
        f'<img alt="url({ELSEWHERE})" src="data:image/png;base64,//8=">',
        f'<p title="{ELSEWHERE}">',
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#a"/></svg>',
        "<style>p { background: url(data:image/svg+xml;base64,AA) }</style>",
        f"<style>/* @import url({ELSEWHERE}) */</style>",
        f"<!-- <img src={ELSEWHERE}> -->",
        "<link href=local.css>",
    ],
)
def test_what_only_speaks_of_it_is_not(page):
    assert fetched(page) == ""


def test_the_examples_run():
    found = doctest.testmod(fetching)
    assert found.attempted and not found.failed
