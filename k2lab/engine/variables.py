"""The environment variables of a server: what each has, what tunes it to a small machine, and what is kept from it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import psutil

from k2lab import paths

NOT_PASSED_ON = ("OPENAI_API_KEY",)
"""Variables that are for other servers than ours."""

ENVIRONMENT: Mapping[str, str] = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "PYTHONSAFEPATH": "1",
}
"""Set for every server: 1 GiB of key-value cache, no hub, no usage statistics, and no module of the folder that one
stands in, which ``python -m`` would otherwise import before any other of its name."""

TUNING: Mapping[str, str] = {
    "VLLM_CPU_NUM_OF_RESERVED_CPU": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",
}
"""Set where the caller's environment does not say otherwise, for a small model that shares few cores.

One core is left to the process that speaks HTTP, as 0.32.0 does by itself: 0.11.0's threads otherwise spin on all of
them (51 ms of CPU a request to k2-nano, 35 with this). 0.32.0 starts its worker as a third process unless
multiprocessing is off and the number of threads is given (start 22 s of CPU against 17, a request 39 ms against 28,
0.4 GB less). Answers stay the same, token for token: measured on 400 requests for each. 0.11.0 and 0.11.1 compile in
C++ how a token is drawn for the first answer without a seed, whatever ``--enforce-eager`` says; not compiled, that
answer comes after 0.4 s in place of 9, and 0.1 in place of 12, and needs no compiler. Greedy and seeded answers are not
concerned.
"""


def environment(engine: str) -> dict[str, str]:
    """The variables of a server of this engine, whoever starts it: ours, over those of this process."""
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON}
    return {**_tuning(engine), **inherited, **ENVIRONMENT}


def own_variables(engine: str) -> dict[str, str]:
    """What is set here of them: enough to start such a server by hand."""
    return {**_tuning(engine), **ENVIRONMENT}


def _tuning(engine: str) -> dict[str, str]:
    """What of the tuning this machine bears, and a cache for each engine.

    0.11.0 refuses to leave the only core to others. Releases that share vLLM's
    cache overwrite each other's note on the model's class, and then look at it
    in a third process that imports all of vLLM again: 7 s of a start.
    """
    place = engine if "/" not in engine else hashlib.sha256(engine.encode()).hexdigest()[:12]
    cache = {"VLLM_CACHE_ROOT": str(paths.cache_dir() / "vllm" / place)}
    cores = min(psutil.cpu_count(logical=False) or 1, len(os.sched_getaffinity(0)))
    some = {name: value for name, value in TUNING.items() if cores > 1 or name != "VLLM_CPU_NUM_OF_RESERVED_CPU"}
    return some | cache
