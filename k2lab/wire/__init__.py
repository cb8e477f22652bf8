"""Kimi's wire format: markers, ids and tool-call sections, text to records and back.

A well-formed section is ``SECTION_BEGIN``, then for each call ``CALL_BEGIN`` ID
``ARGUMENT_BEGIN`` JSON ``CALL_END``, then ``SECTION_END``; ID is
``functions.NAME:IDX`` (Moonshot's tool-call guidance for Kimi K2). What is not
a call stays content; what almost is one is a record with its raw text. A model
may write anything: parsing never raises for a text, and takes linear time.

That is the form of K2, K2-Thinking and K2.5 to K2.7. K3 writes another one, which
:mod:`k2lab.wire.xtml` describes and reads into the same records: a family's
record says which is its own, and where none is given the text's own markers do.
"""

from k2lab.wire.forms import foreign_form
from k2lab.wire.parser import OutputStream, holds_call, parse, parse_ids
from k2lab.wire.recognition import of_output
from k2lab.wire.records import (
    ARGUMENT_BEGIN,
    CALL_BEGIN,
    CALL_END,
    ID,
    SECTION_BEGIN,
    SECTION_END,
    Call,
    Parsed,
    Piece,
    Status,
    arguments_text,
    call_id,
)
from k2lab.wire.writer import format_calls

__all__ = [
    "ARGUMENT_BEGIN",
    "CALL_BEGIN",
    "CALL_END",
    "ID",
    "SECTION_BEGIN",
    "SECTION_END",
    "Call",
    "OutputStream",
    "Parsed",
    "Piece",
    "Status",
    "arguments_text",
    "call_id",
    "foreign_form",
    "format_calls",
    "holds_call",
    "of_output",
    "parse",
    "parse_ids",
]
