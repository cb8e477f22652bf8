"""Calls as tests write them."""

from k2lab.chat import ToolCall


def called(*calls):
    return tuple(ToolCall(name=name, arguments=arguments) for name, arguments in calls)
