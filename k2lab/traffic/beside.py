"""Processes beside the proxy: an interpreter of its own for each, and values to it and back, the length before each."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import k2lab

HEAD = struct.Struct(">Q")


def started(code: str) -> subprocess.Popen[bytes]:
    """A process that runs this code, with pipes to it and from it; nothing of k2lab's own is open in it."""
    place = str(Path(k2lab.__file__).parents[1])
    paths = [os.environ.get("PYTHONPATH", ""), place]
    return subprocess.Popen(
        [sys.executable, "-c", code, str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        process_group=0,
    )


def framed(value: object) -> bytes:
    """A value as bytes, their length before them.

    >>> Frames().feed(framed("a") + framed([b"b"])[:-1])
    ['a']
    """
    data = pickle.dumps(value, protocol=5)
    return HEAD.pack(len(data)) + data


def send(file: BinaryIO, value: object) -> None:
    """Write a value."""
    file.write(framed(value))
    file.flush()


def received(file: BinaryIO) -> object:
    """The next value; raises :class:`EOFError` where nothing more comes."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        raise EOFError
    return pickle.loads(file.read(HEAD.unpack(head)[0]))


class Frames:
    """Takes bytes as they come, and gives the values that are whole."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> list[object]:
        """The values that these bytes complete."""
        held = self._held
        if not held and len(data) >= HEAD.size and HEAD.unpack_from(data)[0] == len(data) - HEAD.size:
            return [pickle.loads(memoryview(data)[HEAD.size :])]  # one value, and that whole: most often so
        held += data
        values, at = [], 0
        with memoryview(held) as view:
            while len(held) - at >= HEAD.size:
                begin = at + HEAD.size
                end = begin + HEAD.unpack_from(held, at)[0]
                if end > len(held):
                    break
                values.append(pickle.loads(view[begin:end]))
                at = end
        del held[:at]
        return values
