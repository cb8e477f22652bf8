"""vLLM as a process: which versions, their locked requirements, install, start, stop.

An engine is named by a locked version (``0.32.0``), by ``this`` (the vllm of
k2lab's own environment), by the path of an interpreter that has vllm, or by the
base URL of a server that runs already.
"""

from k2lab.engine.child import lines_of
from k2lab.engine.environments import Installed, install, install_all
from k2lab.engine.locks import versions
from k2lab.engine.names import Engine, available, installed, is_installed, launch, resolve, serve
from k2lab.engine.server import Server, get, keep, running, serving, start, stop, tail

__all__ = [
    "Engine",
    "Installed",
    "Server",
    "available",
    "get",
    "install",
    "install_all",
    "installed",
    "is_installed",
    "keep",
    "launch",
    "lines_of",
    "resolve",
    "running",
    "serve",
    "serving",
    "start",
    "stop",
    "tail",
    "versions",
]
