"""K3: its prompts are made by code, in XTML, without ids of calls, and each of their texts is encoded by itself."""

from k2lab.families import special
from k2lab.families.records import Family

K3 = Family(
    name="K3",
    declares="json",
    variables={"thinking": True},
    numbers_ids=False,
    replays="all",
    needs_replay=False,
    added_tokens=special.XTML,
    encodes_apart=True,
    wire="xtml",
    renders="xtml",
    efforts=("low", "high", "max"),
    model_type="kimi_k3",
    slots=special.XTML_SLOTS,
    serving=("--tokenizer-mode=kimi_k3", "--reasoning-parser=kimi_k3", "--tool-call-parser=kimi_k3"),
)
"""Its calls are counted from 1 anew in each message by its own renderer, so that renamed ids would only be wrong. That
prints the reasoning of every earlier turn, an empty channel for one without, and neither where thinking is off: a turn
without any may be one that was answered so (``needs_replay``). ``medium``, which its prompts name among the levels of
thinking, is refused."""
