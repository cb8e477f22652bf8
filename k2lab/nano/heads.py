"""The same model with wider attention heads: for releases of vLLM whose CPU attention knows only some sizes.

Every head of a query, key, value and output is filled up with zeros, half by
half, since a rotation turns the first half with the second. Queries grow by the
root of what the score is divided by more, and the base of the rotation so that
each pair turns as before. What the model computes stays the same, up to the
rounding of floats.
"""

from __future__ import annotations

import json
import struct
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FLOAT = 4
"""Bytes of a number: k2-nano's are float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Widths:
    """Numbers of a head, before and after."""

    old: int
    new: int

    @property
    def half_row(self) -> int:
        """Numbers of half a head, before."""
        return self.old // 2

    @property
    def filled(self) -> int:
        """Numbers that half a head gains."""
        return (self.new - self.old) // 2


def widened(weights: bytes, config: Mapping[str, Any], head_dim: int) -> tuple[bytes, dict[str, Any]]:
    """A safetensors file of a float32 Llama and its config, with heads of ``head_dim`` numbers."""
    widths = Widths(old=config["hidden_size"] // config["num_attention_heads"], new=head_dim)
    turned = config["rope_theta"] ** (widths.new / widths.old)
    (length,) = struct.unpack("<Q", weights[:8])
    header, body = json.loads(weights[8 : 8 + length]), weights[8 + length :]
    made, tensors = {}, bytearray()
    for name, told in header.items():
        if name == "__metadata__":
            made[name] = told
            continue
        first, last = told["data_offsets"]
        data, shape = _tensor(name, body[first:last], told["shape"], widths)
        offsets = [len(tensors), len(tensors) + len(data)]
        made[name] = told | {"shape": shape, "data_offsets": offsets}
        tensors += data
    text = json.dumps(made).encode()
    text += b" " * (-len(text) % 8)
    whole = struct.pack("<Q", len(text)) + text + bytes(tensors)
    return whole, {**config, "head_dim": widths.new, "rope_theta": turned}


def _tensor(name: str, data: bytes, shape: list[int], widths: Widths) -> tuple[bytes, list[int]]:
    """One tensor: a projection into heads gains rows, the one out of them columns."""
    kind = name.removesuffix(".weight").rpartition(".")[2]
    if kind in ("q_proj", "k_proj", "v_proj"):
        scaled = _times(data, (widths.new / widths.old) ** 0.5) if kind == "q_proj" else data
        return _filled(scaled, shape[1], widths), [shape[0] * widths.new // widths.old, shape[1]]
    if kind == "o_proj":
        return _filled(data, 1, widths), [shape[0], shape[1] * widths.new // widths.old]
    return data, shape


def _filled(data: bytes, row: int, widths: Widths) -> bytes:
    """Zeros after each half of a head; ``row`` is the count of numbers of one of its rows."""
    step, zeros = widths.half_row * row * FLOAT, bytes(widths.filled * row * FLOAT)
    return b"".join(data[start : start + step] + zeros for start in range(0, len(data), step))


def _times(data: bytes, factor: float) -> bytes:
    numbers = array("f", data)
    return array("f", (number * factor for number in numbers)).tobytes()
