"""k2-nano with wider heads computes what it computed: attention of one head, by hand."""

import json
import math
import struct

import pytest
from safetensors import safe_open

from k2lab import paths
from k2lab.engine import locks
from k2lab.nano import folders, heads

CONFIG = {"hidden_size": 4, "num_attention_heads": 1, "rope_theta": 100.0}
HIDDEN = [[0.5, -1.0, 2.0, 0.25], [1.5, 0.5, -0.5, 1.0], [-1.0, 0.75, 0.3, 2.0]]


def safetensors(tensors):
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, rows in tensors.items():
        data = struct.pack(f"<{len(rows) * len(rows[0])}f", *(number for row in rows for number in row))
        shape, offsets = [len(rows), len(rows[0])], [len(body), len(body) + len(data)]
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
        body += data
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def read(whole):
    (length,) = struct.unpack("<Q", whole[:8])
    found = {}
    for name, told in json.loads(whole[8 : 8 + length]).items():
        if name != "__metadata__":
            first, last = told["data_offsets"]
            numbers = struct.unpack(f"<{(last - first) // 4}f", whole[8 + length :][first:last])
            width = told["shape"][1]
            found[name.split(".")[-2]] = [numbers[start : start + width] for start in range(0, len(numbers), width)]
    return found


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def turned(vector, place, theta):
    half = len(vector) // 2
    angles = [place * theta ** (-2 * i / len(vector)) for i in range(half)]
    first = [vector[i] * math.cos(a) - vector[i + half] * math.sin(a) for i, a in enumerate(angles)]
    return first + [vector[i + half] * math.cos(a) + vector[i] * math.sin(a) for i, a in enumerate(angles)]


def attended(whole, theta):
    """What one head says at the last place, having looked at all."""
    weights = read(whole)
    query = turned(times(weights["q_proj"], HIDDEN[-1]), len(HIDDEN) - 1, theta)
    keys = [turned(times(weights["k_proj"], hidden), place, theta) for place, hidden in enumerate(HIDDEN)]
    scores = [math.exp(score / math.sqrt(len(query))) for score in times(keys, query)]
    values = [times(weights["v_proj"], hidden) for hidden in HIDDEN]
    mixed = [
        sum(s * v for s, v in zip(scores, column, strict=True)) / sum(scores) for column in zip(*values, strict=True)
    ]
    return times(weights["o_proj"], mixed)


def test_a_wider_head_attends_as_the_narrow_one_did():
    names = ("q_proj", "k_proj", "v_proj", "o_proj")
    tensors = {f"layer.{name}.weight": [[(3 * i + 5 * j + n) % 7 / 4 - 1 for j in range(4)] for i in range(4)]
               for n, name in enumerate(names)}  # fmt: skip
    narrow = safetensors(tensors | {"norm.weight": [[1.0, 2.0]]})
    wide, config = heads.widened(narrow, CONFIG, 6)
    assert config == CONFIG | {"head_dim": 6, "rope_theta": pytest.approx(1000.0)}
    assert [len(read(wide)[name]) for name in names] == [6, 6, 6, 4] and read(wide)["norm"] == [(1.0, 2.0)]
    assert attended(wide, config["rope_theta"]) == pytest.approx(attended(narrow, 100.0), rel=1e-5)


def test_a_release_that_takes_some_sizes_only_is_given_k2_nano_with_wider_heads():
    release = next(version for version in locks.versions() if locks.read(version).head_dim)
    plain, wide = folders.assemble("current"), folders.assemble("current", engine=release)
    assert plain == folders.assemble("current", engine="http://127.0.0.1/v1") and wide != plain
    config = json.loads((wide / "config.json").read_text())
    assert config["head_dim"] == locks.read(release).head_dim
    with safe_open(wide / "model.safetensors", "np") as file:
        shape = file.get_slice("model.layers.0.self_attn.q_proj.weight").get_shape()
    assert shape == [config["num_attention_heads"] * config["head_dim"], config["hidden_size"]]
    assert (paths.data_dir() / "models" / "k2-nano" / "config.json").read_text() == (plain / "config.json").read_text()
