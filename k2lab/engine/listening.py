"""Where a server that we started listens: on this machine alone, or it is not to run."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address

import psutil

from k2lab.errors import EngineError

HELLO = b"\x00\xce\xf7\x85\x3c"
"""How a client of torch's TCPStore begins: the query VALIDATE and the magic number 0x3C85F7CE (TCPStore.cpp)."""

PING, NONCE = b"\x0d", b"\r\n\r\n"
"""A query of such a store, and four bytes that only a store sends back as they came; they end a line for others, who
then need not wait for more."""

ASKED_S = 2.0
ENDED_S = 10.0


def check_listening(engine: str, server_pid: int) -> None:
    """Raise :class:`EngineError` where other machines can reach a server; what listens there is ended at once.

    One listener is borne: the store by which torch's processes find each other.
    vLLM 0.11.0 opens it on every interface and has no option for it; it holds
    no request and no answer.

    >>> check_listening("0.32.0", os.getpid())
    """
    found, ended = "", []
    for process in _group(server_pid):
        for host, port in _open_places(process):
            if not _is_torch_store(port):
                found = found or f"{host}, port {port}"
                with contextlib.suppress(psutil.Error):
                    process.kill()
                    ended.append(process)
    if found:
        _wait_until_closed(ended)
        raise EngineError(
            f"engine {engine} listens on {found}, where other machines reach it, and not on 127.0.0.1 alone:"
            " it was ended; look at its flags, its environment and its plugins"
        )


def _group(leader: int) -> list[psutil.Process]:
    """Every process of a group, and what they started in a group of its own."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == leader or process.pid == leader:
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
    return list(found.values())


def _open_places(process: psutil.Process) -> Iterator[tuple[str, int]]:
    """Addresses and ports that a process accepts connections on from elsewhere."""
    try:
        places = process.net_connections("tcp")
    except psutil.Error:  # it has ended
        return
    for place in places:
        if place.status == psutil.CONN_LISTEN and not _is_loopback(place.laddr.ip):
            yield place.laddr.ip, place.laddr.port


def _wait_until_closed(processes: list[psutil.Process]) -> None:
    """Wait until processes that were killed listen no more: a busy machine takes a while to end them."""
    deadline = time.monotonic() + ENDED_S
    while any(map(_listens, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _listens(process: psutil.Process) -> bool:
    return any(True for _ in _open_places(process))


def _is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, also where IPv6 writes one of IPv4."""
    address = ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_torch_store(port: int) -> bool:
    """Whether what listens there speaks as torch's TCPStore does."""
    try:
        with socket.create_connection(("127.0.0.1", port), ASKED_S) as connection:
            connection.settimeout(ASKED_S)
            connection.sendall(HELLO + PING + NONCE)
            return connection.recv(len(NONCE), socket.MSG_WAITALL) == NONCE
    except OSError:
        return False
