"""Two networks on this machine and the cable between them, which may be as bad as a test wants.

Run as a script, in a user namespace of its own (`unshare -Ur`): it makes two network namespaces,
`near` and `far`, each with one end of the cable (a TAP device), carries the frames between them,
and says on stdout, as a line of JSON, which processes hold them (`nsenter` finds them by these).
Each line of JSON on stdin changes the cable and is answered by its counters; the end of stdin
ends everything. Real kernels' TCP, UDP, ARP and routes at both ends; only the cable is ours.

Not `tc netem`, which does the same: it is a module that many kernels lack, and it needs root. A
TAP device is everywhere, and a user namespace is enough.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CABLE = "cable0"
NEAR, FAR = "near", "far"
_NEWNS, _NEWNET = 0x00020000, 0x40000000
_TUNSETIFF, _TAP, _NO_HEAD = 0x400454CA, 0x0002, 0x1000
_BIND, _REC, _PRIVATE = 0x1000, 0x4000, 1 << 18
_IPV4, _UDP = b"\x08\x00", 17
_MOST_WAITING = 2000


def _libc(name: str, *arguments: object) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), name)
    if call(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def _tap() -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    request = struct.pack("16sH22x", CABLE.encode(), _TAP | _NO_HEAD)
    fcntl.ioctl(descriptor, _TUNSETIFF, request)
    return descriptor


def _settle(side: str, told: dict[str, Any]) -> None:
    """Inside the new network: its addresses, its routes, its resolver."""
    Path(f"/proc/sys/net/ipv6/conf/{CABLE}/disable_ipv6").write_text("1")
    ip("link", "set", "lo", "up")
    for address in told.get(f"{side}_own", ()):
        ip("addr", "add", f"{address}/32", "dev", "lo")
    for address in told[side]:
        ip("addr", "add", address, "dev", CABLE)
    ip("link", "set", CABLE, "up")
    if side == NEAR:
        ip("route", "add", "default", "via", told["gateway"])
        _libc("mount", None, b"/", None, _REC | _PRIVATE, None)
        _libc("mount", told["resolver"].encode(), b"/etc/resolv.conf", None, _BIND, None)


def _hold(side: str, told: dict[str, Any]) -> tuple[int, int]:
    """A process in a new network: its pid, and the end of the cable there."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        _libc("unshare", _NEWNET | _NEWNS)
        cable = _tap()
        _settle(side, told)
        socket.send_fds(theirs, [b"."], [cable])
        while True:
            signal.pause()
    theirs.close()
    _, [cable], _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    return pid, cable


class Cable:
    """What the cable does to a frame. `loss`: of 0 to 1; `delay` and `jitter` in seconds, each
    way; `twice`: of 0 to 1; `cut`: nothing passes; `no_udp`: ports whose datagrams vanish."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.loss = self.delay = self.jitter = self.twice = 0.0
        self.cut = False
        self.no_udp: list[int] = []
        self.counts = {"carried": 0, "lost": 0, "barred": 0}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._number = 0

    def change(self, changes: dict[str, Any]) -> None:
        for name, value in changes.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def take(self, to: int, frame: bytes, now: float) -> None:
        if self.cut or self._barred(frame):
            self.counts["barred"] += 1
            return
        if self.chance.random() < self.loss or len(self._waiting) >= _MOST_WAITING:
            self.counts["lost"] += 1
            return
        for _ in range(2 if self.chance.random() < self.twice else 1):
            self._number += 1
            at = now + self.delay + self.chance.random() * self.jitter
            heapq.heappush(self._waiting, (at, self._number, to, frame))

    def _barred(self, frame: bytes) -> bool:
        if not self.no_udp or frame[12:14] != _IPV4 or frame[23] != _UDP:
            return False
        start = 14 + (frame[14] & 15) * 4
        ports = struct.unpack("!HH", frame[start : start + 4])
        return any(port in self.no_udp for port in ports)

    def due(self, now: float) -> float | None:
        """Deliver what is due; seconds until the next, None: nothing waits."""
        while self._waiting and self._waiting[0][0] <= now:
            _, _, to, frame = heapq.heappop(self._waiting)
            try:
                os.write(to, frame)
                self.counts["carried"] += 1
            except OSError:  # its buffer is full: as on any cable
                self.counts["lost"] += 1
        return max(0.0, self._waiting[0][0] - now) if self._waiting else None


def _carry(cable: Cable, ends: tuple[int, int]) -> None:
    poll = select.poll()
    for descriptor in (*ends, 0):
        poll.register(descriptor, select.POLLIN)
    other = {ends[0]: ends[1], ends[1]: ends[0]}
    while True:
        wait = cable.due(time.monotonic())
        for descriptor, _ in poll.poll(None if wait is None else wait * 1000):
            if descriptor != 0:
                _drain(cable, descriptor, other[descriptor])
            elif not (line := sys.stdin.readline()):
                return
            else:
                cable.change(json.loads(line))
                print(json.dumps(cable.counts), flush=True)


def _drain(cable: Cable, descriptor: int, other: int) -> None:
    for _ in range(64):
        try:
            frame = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        cable.take(other, frame, time.monotonic())


def main() -> None:
    told = json.loads(sys.stdin.readline())
    near, far = _hold(NEAR, told), _hold(FAR, told)
    print(json.dumps({NEAR: near[0], FAR: far[0]}), flush=True)
    try:
        _carry(Cable(told.get("seed", 1)), (near[1], far[1]))
    finally:
        for pid, _ in (near, far):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
