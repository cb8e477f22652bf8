"""The words that every room speaks: a request, a tool call, an answer, an exchange."""

from k2lab.chat.answers import CUT_SHORT, Answer, text_of
from k2lab.chat.calls import (
    ToolCall,
    calls_of,
    canonical,
    count_calls,
    decoded,
    function_of,
    name_of,
    repeated_names,
    schemas_by_name,
    tools_by_name,
)
from k2lab.chat.checks import ROLES, SYSTEM_ROLES, Message, Tool
from k2lab.chat.choice import Choice
from k2lab.chat.exchanges import Exchange
from k2lab.chat.files import holds_messages, load, load_tools, request_of, tools_of
from k2lab.chat.requests import CHAT_ONLY, PROMPT_PARAMETERS, Request, with_system_role

__all__ = [
    "CHAT_ONLY",
    "CUT_SHORT",
    "PROMPT_PARAMETERS",
    "ROLES",
    "SYSTEM_ROLES",
    "Answer",
    "Choice",
    "Exchange",
    "Message",
    "Request",
    "Tool",
    "ToolCall",
    "calls_of",
    "canonical",
    "count_calls",
    "decoded",
    "function_of",
    "holds_messages",
    "load",
    "load_tools",
    "name_of",
    "repeated_names",
    "request_of",
    "schemas_by_name",
    "text_of",
    "tools_by_name",
    "tools_of",
    "with_system_role",
]
