"""Whose program is at the other end of a loopback connection, as the kernel knows it.

Owns one question to Linux's sock_diag(7), an exact look-up of one socket (0.02 ms, whatever
else is connected). Standard library only; runs on the gateway's event loop. Elsewhere, and
where the kernel does not answer such questions, nothing is known and nobody is refused.
"""

import errno
import os
import socket
import struct
import sys
from typing import Any

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_ERROR = 2  # NLMSG_ERROR
_HEAD = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ASK = struct.Struct("=BBBBI")  # inet_diag_req_v2 up to its id: family, protocol, ..., states
_ID = struct.Struct("!HH16s16s")  # inet_diag_sockid: ports and addresses, in network order
_ANY = struct.pack("=III", 0, 0xFFFFFFFF, 0xFFFFFFFF)  # interface; no cookie
_OWNER = struct.Struct("=II")  # uid and inode, the last of inet_diag_msg
_OWNER_AT = _HEAD.size + 64  # after state, id, timer and queues

GONE = -1
"""Nobody's any more: its program closed it, or ended."""


def is_foreign(peer: Any, ours: Any) -> bool:
    """The connection from `peer` to `ours` (IPv4 name pairs) is another user's.

    Root is nobody's stranger. Whoever closes his end before he is looked at counts as foreign:
    he could not read the answer, so he only wants the deed.
    """
    owner = owner_of(peer, ours)
    return owner is not None and owner not in (0, os.geteuid())


def owner_of(local: Any, remote: Any) -> int | None:
    """The user id of the TCP socket with these ends; GONE; None: the kernel does not say."""
    if sys.platform != "linux" or not _is_ipv4(local) or not _is_ipv4(remote):
        return None
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
            kernel.settimeout(1.0)
            kernel.sendto(_question(local, remote), (0, 0))
            return _owner_in(kernel.recv(4096))
    except OSError:
        return None


def _is_ipv4(name: Any) -> bool:
    return isinstance(name, tuple) and len(name) == 2


def _question(local: tuple[str, int], remote: tuple[str, int]) -> bytes:
    ends = _ID.pack(local[1], remote[1], socket.inet_aton(local[0]), socket.inet_aton(remote[0]))
    body = _ASK.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + ends + _ANY
    return _HEAD.pack(_HEAD.size + len(body), _BY_FAMILY, 1, 1, 0) + body  # NLM_F_REQUEST


def _owner_in(answer: bytes) -> int | None:
    kind: int = _HEAD.unpack_from(answer)[1]
    if kind == _ERROR:
        (number,) = struct.unpack_from("=i", answer, _HEAD.size)
        return GONE if -number == errno.ENOENT else None
    if kind != _BY_FAMILY or len(answer) < _OWNER_AT + _OWNER.size:
        return None
    uid, inode = _OWNER.unpack_from(answer, _OWNER_AT)
    return int(uid) if inode else GONE
