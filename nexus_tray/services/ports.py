"""Loopback ports: one that is free, and whether somebody listens at one.

Imports nothing of ours. A free port may be taken by another before it is used; who needs
it must cope with that.
"""

import socket

HOST = "127.0.0.1"


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port


def somebody_listens(port: int) -> bool:
    """Whether a loopback port accepts connections. Takes up to a second."""
    with socket.socket() as sock:
        sock.settimeout(1.0)
        return sock.connect_ex((HOST, port)) == 0
