"""HTML that a cell left, made inert: it runs nothing, loads nothing, and closes all that it opens."""

from __future__ import annotations

import re

from k2lab.legible import visible


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


TEXT_TAGS = _names(
    """
    a abbr b bdi bdo blockquote br caption center cite code col colgroup dd del details dfn div dl dt em figcaption
    figure h1 h2 h3 h4 h5 h6 hr i img input ins kbd label li mark meter ol p pre progress q rp rt ruby s samp
    section small span strong sub summary sup table tbody td tfoot th thead time tr u ul var wbr
    """
)
SVG_TAGS = _names(
    """
    circle clipPath defs desc ellipse g line linearGradient marker path pattern polygon polyline radialGradient rect
    stop svg symbol text title tspan use
    """
)
ATTRIBUTES = _names(
    """
    align alt class colspan dir for headers height high href id label lang low max min open optimum role rowspan
    scope src style tabindex title valign value width
    """
)
SVG_ATTRIBUTES = _names(
    """
    clip-path clip-rule clipPathUnits cx cy d dominant-baseline dx dy fill fill-opacity fill-rule font-family
    font-size font-style font-weight gradientTransform gradientUnits letter-spacing marker-end marker-mid
    marker-start markerHeight markerUnits markerWidth offset opacity orient patternContentUnits patternTransform
    patternUnits points preserveAspectRatio r refX refY rotate rx ry spreadMethod stop-color stop-opacity stroke
    stroke-dasharray stroke-dashoffset stroke-linecap stroke-linejoin stroke-miterlimit stroke-opacity stroke-width
    text-anchor textLength transform version viewBox x x1 x2 xlink:href y y1 y2
    """
)
INPUTS = frozenset({"checkbox", "radio"})
"""Folds and choices that work by CSS alone."""

DATA = re.compile(r"\s*data:image/(?:png|jpeg|gif|webp|svg\+xml)[;,]", re.IGNORECASE)


def made_inert(html: str) -> str:
    """The elements that show something, as a browser reads them; scripts, styles, handlers and forms are left out.

    >>> made_inert('<p onclick="x()">said<script>alert(1)</script></div><details open><summary>more')
    '<p>said</p><details open=""><summary>more</summary></details>'
    """
    import nh3

    return nh3.clean(
        visible(html),
        tags=set(TEXT_TAGS | SVG_TAGS),
        clean_content_tags={"script", "style", "iframe", "object", "template", "noscript"},
        attributes={"*": set(ATTRIBUTES | SVG_ATTRIBUTES), "input": {"checked", "disabled", "name"}},
        tag_attribute_values={"input": {"type": set(INPUTS)}},
        generic_attribute_prefixes={"aria-", "data-"},
        attribute_filter=_attribute,
        url_schemes={"http", "https", "mailto", "data"},
    )


def _attribute(tag: str, name: str, value: str) -> str | None:
    """Pictures only as data; links not as data; names of groups in a drawing would be there twice in two drawings."""
    match tag, name:
        case ("img", "src"):
            return value if DATA.match(value) else None
        case (_, "src") | ("g" | "svg", "id"):
            return None
        case ("use", "href" | "xlink:href"):
            return value if value.startswith("#") else None
        case (_, "href" | "xlink:href"):
            return None if value.strip().lower().startswith("data:") else value
    return value
