"""Find which layer breaks a Kimi model's tool calls, and prove it on token ids.

What is used most stands here; the rooms behind hold the rest (``k2lab.wire``,
``k2lab.prompt``, ``k2lab.bench`` …). A name is loaded when it is used, so that
``import k2lab`` costs next to nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k2lab.bench.arm import Arm
    from k2lab.bench.runner import run_benchmark
    from k2lab.bench.verdicts import judge
    from k2lab.chat import Answer, Exchange, Request, ToolCall, load
    from k2lab.enforcer import enforce
    from k2lab.errors import K2LabError
    from k2lab.findings import Finding
    from k2lab.notebook.outcome import record
    from k2lab.notebook.report import run_report
    from k2lab.notebook.servers import connect
    from k2lab.prompt.alignment import diff
    from k2lab.prompt.records import Prompt
    from k2lab.prompt.rendering import render
    from k2lab.prompt.source import Source, open_source
    from k2lab.repairs import repair, repair_output
    from k2lab.server.endpoint import Endpoint
    from k2lab.server.probes import probe
    from k2lab.wire import OutputStream, parse

    __version__: str

__all__ = [
    "Answer",
    "Arm",
    "Endpoint",
    "Exchange",
    "Finding",
    "K2LabError",
    "OutputStream",
    "Prompt",
    "Request",
    "Source",
    "ToolCall",
    "connect",
    "diff",
    "enforce",
    "judge",
    "load",
    "open_source",
    "parse",
    "probe",
    "record",
    "render",
    "repair",
    "repair_output",
    "run_benchmark",
    "run_report",
]

_ROOMS = {
    "Answer": "chat",
    "Arm": "bench.arm",
    "Endpoint": "server.endpoint",
    "Exchange": "chat",
    "Finding": "findings",
    "K2LabError": "errors",
    "OutputStream": "wire",
    "Prompt": "prompt.records",
    "Request": "chat",
    "Source": "prompt.source",
    "ToolCall": "chat",
    "connect": "notebook.servers",
    "diff": "prompt.alignment",
    "enforce": "enforcer",
    "judge": "bench.verdicts",
    "load": "chat",
    "open_source": "prompt.source",
    "parse": "wire",
    "probe": "server.probes",
    "record": "notebook.outcome",
    "render": "prompt.rendering",
    "repair": "repairs",
    "repair_output": "repairs",
    "run_benchmark": "bench.runner",
    "run_report": "notebook.report",
}


def __getattr__(name: str) -> object:
    """A public name, loaded when it is first used."""
    if name == "__version__":
        from importlib.metadata import version

        return version("k2lab")
    if name not in _ROOMS:
        raise AttributeError(f"module 'k2lab' has no attribute {name!r}: it has {', '.join(__all__)}")
    value = getattr(import_module(f"k2lab.{_ROOMS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])


if "IPython" in sys.modules:  # a kernel, or a shell: records show themselves where they end a cell
    import_module("k2lab.show.displays").register()
