"""Calls whose markers are gone: an id with arguments that stands bare in a text."""

from __future__ import annotations

import re

BARE_CALL = re.compile(r"""(?<![\w.`"'])functions\.[\w.-]{1,96}:[0-9]{1,9}\s{0,16}(?=\{\s{0,16}["}])""")
"""An id and the brace of its arguments; bounded, so that a search takes linear time.

A server that decodes with ``skip_special_tokens`` takes the markers away and
leaves this (ai-dynamo/dynamo#9227). In quotes or backticks it is a mention.
"""
