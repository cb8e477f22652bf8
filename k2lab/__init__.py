"""Find which layer breaks a Kimi model's tool calls, and prove it on token ids.

What is used most stands here; the rooms behind hold the rest (``k2lab.wire``,
``k2lab.prompt``, ``k2lab.bench`` …). A name is loaded when it is used, so that
``import k2lab`` costs next to nothing.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

from k2lab.lazy import loader

if TYPE_CHECKING:
    from k2lab.bench.arm import Arm
    from k2lab.bench.runner import run_benchmark
    from k2lab.chat import Answer, Exchange, Request, ToolCall, load
    from k2lab.enforcer import enforce
    from k2lab.engine import serve
    from k2lab.errors import K2LabError
    from k2lab.findings import Finding
    from k2lab.findings.verdicts import judge
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
    "serve",
]

_PLACES = {
    "Answer": "k2lab.chat:Answer",
    "Arm": "k2lab.bench.arm:Arm",
    "Endpoint": "k2lab.server.endpoint:Endpoint",
    "Exchange": "k2lab.chat:Exchange",
    "Finding": "k2lab.findings:Finding",
    "K2LabError": "k2lab.errors:K2LabError",
    "OutputStream": "k2lab.wire:OutputStream",
    "Prompt": "k2lab.prompt.records:Prompt",
    "Request": "k2lab.chat:Request",
    "Source": "k2lab.prompt.source:Source",
    "ToolCall": "k2lab.chat:ToolCall",
    "connect": "k2lab.notebook.servers:connect",
    "diff": "k2lab.prompt.alignment:diff",
    "enforce": "k2lab.enforcer:enforce",
    "judge": "k2lab.findings.verdicts:judge",
    "load": "k2lab.chat:load",
    "open_source": "k2lab.prompt.source:open_source",
    "parse": "k2lab.wire:parse",
    "probe": "k2lab.server.probes:probe",
    "record": "k2lab.notebook.outcome:record",
    "render": "k2lab.prompt.rendering:render",
    "repair": "k2lab.repairs:repair",
    "repair_output": "k2lab.repairs:repair_output",
    "run_benchmark": "k2lab.bench.runner:run_benchmark",
    "run_report": "k2lab.notebook.report:run_report",
    "serve": "k2lab.engine:serve",
}
_load = loader(globals(), _PLACES)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("k2lab")
    return _load(name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])


if "IPython" in sys.modules:  # a kernel, or a shell: records show themselves where they end a cell
    import_module("k2lab.show.displays").register()
