"""What `bench_gateway` compares: each proxy as processes of its own, before one upstream.

Owns the making and ending of them. The foreign ones are fetched into a temporary folder at
run time (npm) or must be installed (nginx); nothing of them is kept. Each checks a cookie
first, as a gateway must, and none writes a line for each request.
"""

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.bench.bench_gateway_ours import PASSWORD, SECRET

COOKIE = "gw=s3ss10n-of-the-benchmark"
PACKAGES = ("http-proxy", "express", "http-proxy-middleware")
TUNNEL_HOST = "calm-river-stone.trycloudflare.com"
BROWSER = {
    "User-Agent": "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/142.0 Mobile",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9",
    "Referer": "https://calm-river-stone.trycloudflare.com/",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "sec-ch-ua-mobile": "?1",
    "sec-ch-ua-platform": '"Android"',
}
"""What a browser's script sends with each request: fields cost a proxy more than anything."""

_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log stderr crit;
{user}
events {{ worker_connections 8192; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_max_body_size 0; keepalive_requests 100000000;
  map $http_cookie $good {{ default 0; "{cookie}" 1; }}
  map $http_upgrade $wish {{ default upgrade; "" ""; }}
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 32; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location = /auth {{ internal; if ($good) {{ return 204; }} return 401; }}
    location / {{
      auth_request /auth; proxy_pass http://up; proxy_http_version 1.1;
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 600s;
      proxy_set_header Host $http_host; proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $wish;
    }}
  }}
}}
"""

_NODE = """
const http = require('http'), httpProxy = require('http-proxy');
const [target, port, cookie] = process.argv.slice(2);
const agent = new http.Agent({keepAlive: true, maxSockets: Infinity, maxFreeSockets: 256});
const proxy = httpProxy.createProxyServer({target, agent});
proxy.on('error', (error, request, reply) => { if (reply.destroy) reply.destroy(); });
const server = http.createServer((request, reply) => {
  if (request.headers.cookie !== cookie) { reply.writeHead(401); reply.end(); return; }
  proxy.web(request, reply);
});
server.on('upgrade', (request, socket, head) => {
  if (request.headers.cookie !== cookie) { socket.destroy(); return; }
  proxy.ws(request, socket, head);
});
server.listen(+port, '127.0.0.1', 2048);
"""

_EXPRESS = """
const express = require('express');
const {createProxyMiddleware} = require('http-proxy-middleware');
const [target, port, cookie] = process.argv.slice(2);
const app = express();
app.use((request, reply, next) =>
  request.headers.cookie === cookie ? next() : reply.status(401).end());
const proxy = createProxyMiddleware({target, changeOrigin: true, ws: false});
app.use(proxy);
const server = app.listen(+port, '127.0.0.1', 2048);
server.on('upgrade', (request, socket, head) =>
  request.headers.cookie === cookie ? proxy.upgrade(request, socket, head) : socket.destroy());
"""


CLOUDFLARED = {
    "Cdn-Loop": "cloudflare; loops=1",
    "Cf-Connecting-Ip": "203.0.113.9",
    "Cf-Ipcountry": "CH",
    "Cf-Ray": "",
    "Cf-Visitor": '{"scheme":"https"}',
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
}
"""What the edge and cloudflared add."""


@dataclass
class Peer:
    """Something that answers. `at`: a port of 127.0.0.1 or a Unix socket's path; `fields`: what
    a request brings besides its Host; `process`: whose CPU and memory count (None: nobody's)."""

    name: str
    at: int | str
    fields: dict[str, str]
    host: str
    process: psutil.Process | None = None
    version: str = ""

    def head(self, method: str, path: str, more: str = "", ray: int = 0) -> bytes:
        """A request's head; `ray`: the number in its Cf-Ray, if it has one."""
        fields = {**BROWSER, **self.fields}
        if "Cf-Ray" in fields:
            fields["Cf-Ray"] = f"{ray:016x}-ZRH"
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\n{lines}{more}\r\n".encode()

    @property
    def origin(self) -> str:
        """What a page of this host sends as Origin."""
        return f"{'http' if self.host.startswith('127.') else 'https'}://{self.host}"

    def _all(self) -> list[psutil.Process]:
        assert self.process is not None
        return [self.process, *self.process.children(recursive=True)]

    def cpu(self) -> float:
        """CPU seconds until now, kernel's part included."""
        if self.process is None:
            return 0.0
        times = [one.cpu_times() for one in self._all()]
        return sum(one.user + one.system for one in times)

    def private(self) -> float:
        """MB that only these processes hold, written to ("private dirty", Linux)."""
        if self.process is None:
            return 0.0
        return sum(private_megabytes(one.pid) for one in self._all())

    def resident(self) -> float:
        """MB in memory, shared and unwritten ones included."""
        if self.process is None:
            return 0.0
        return sum(one.memory_info().rss for one in self._all()) / 1e6


def private_megabytes(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = [line.split()[1] for line in text.splitlines() if line.startswith("Private_Dirty:")]
    return int(found[0]) / 1024


@dataclass
class Peers:
    """All that run, in the order of the tables: the direct connection first, ours last."""

    items: list[Peer] = field(default_factory=list)
    ours: subprocess.Popen[str] | None = None

    def tell_ours(self, word: str) -> int:
        """`on` or `off`; how many log lines were written until now."""
        assert self.ours is not None
        assert self.ours.stdin is not None
        assert self.ours.stdout is not None
        self.ours.stdin.write(word + "\n")
        self.ours.stdin.flush()
        return int(self.ours.stdout.readline())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _until_open(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20.0
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} does not listen")
        time.sleep(0.02)


@contextlib.contextmanager
def running(
    command: list[str], folder: Path | None = None, *, talks: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block. `talks`: over its standard input and output."""
    pipe = subprocess.PIPE if talks else subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@contextlib.contextmanager
def everything(
    folder: Path, *, logs: bool = False, others: bool = True, native: bool = False
) -> Iterator[Peers]:
    """The upstream, our gateway (`native`: compiled too), and (`others`) every other peer that
    this machine can run.
    `logs`: ours can be told to take log lines in (`Peers.tell_ours`)."""
    with contextlib.ExitStack() as stack:
        peers = Peers()
        here = [sys.executable, "-m", "tests.bench.bench_gateway_upstream"]
        upstream = stack.enter_context(running(here, talks=True))
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        peers.items.append(Peer("direct", port, {}, f"127.0.0.1:{port}"))
        if others and shutil.which("nginx"):
            peers.items.append(_nginx(stack, folder, port))
        if others and shutil.which("node") and shutil.which("npm"):
            peers.items += _nodes(stack, folder, port)
        _ours(stack, folder, port, peers, "ours", logs=logs)
        if native and shutil.which("cc"):
            _ours(stack, folder, port, peers, "compiled", _compiled(folder), logs=logs)
        yield peers


def _nginx(stack: contextlib.ExitStack, folder: Path, upstream: int) -> Peer:
    port = free_port()
    user = "user root;" if Path("/proc/self").stat().st_uid == 0 else ""
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, port=port, upstream=upstream, cookie=COOKIE, user=user)
    )
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    process = stack.enter_context(running(command))
    _until_open(port, process)
    told = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    version = told.strip().rpartition("/")[2]
    return _foreign("nginx", port, process, version)


def _foreign(name: str, port: int, process: subprocess.Popen[str], version: str) -> Peer:
    fields = {"Cookie": COOKIE}
    return Peer(name, port, fields, f"127.0.0.1:{port}", psutil.Process(process.pid), version)


def _nodes(stack: contextlib.ExitStack, folder: Path, upstream: int) -> list[Peer]:
    (folder / "package.json").write_text('{"private":true}')
    fetch = ["npm", "install", "--no-audit", "--no-fund", "--silent", *PACKAGES]
    subprocess.run(fetch, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    node = subprocess.run(["node", "--version"], check=True, capture_output=True, text=True)
    found = []
    for name, script, packages in (
        ("node http-proxy", _NODE, PACKAGES[:1]),
        ("Express", _EXPRESS, PACKAGES[1:]),
    ):
        file, port = folder / f"{packages[0]}.js", free_port()
        file.write_text(script)
        command = ["node", str(file), f"http://127.0.0.1:{upstream}", str(port), COOKIE]
        process = stack.enter_context(running(command, folder))
        _until_open(port, process)
        versions = [f"{package} {_installed(folder, package)}" for package in packages]
        version = ", ".join([f"node {node.stdout.strip()}", *versions])
        found.append(_foreign(name, port, process, version))
    return found


def _installed(folder: Path, package: str) -> str:
    told = json.loads((folder / "node_modules" / package / "package.json").read_text())
    return str(told["version"])


def _compiled(folder: Path) -> Path:
    """A copy of the product with the gateway compiled, and of what starts it here."""
    tree = folder / "compiled"
    subprocess.run([sys.executable, "build/native.py", str(tree)], check=True, stdout=sys.stderr)
    shutil.copytree("tests/bench", tree / "tests" / "bench")
    return tree


def _ours(
    stack: contextlib.ExitStack,
    folder: Path,
    upstream: int,
    peers: Peers,
    name: str,
    tree: Path | None = None,
    *,
    logs: bool,
) -> None:
    home = folder / f"home-{name}"
    command = [sys.executable, "-m", "tests.bench.bench_gateway_ours", str(home), str(upstream)]
    process = stack.enter_context(running(command + ["logs"] * logs, tree, talks=True))
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    peers.ours, who = process, psutil.Process(process.pid)
    local = Peer(f"{name}, local door", told["port"], {}, f"127.0.0.1:{told['port']}", who)
    enter = f"/_nexus/enter?ticket={told['ticket']}"
    local.fields = {"Cookie": _begun(local, "GET", enter, None, {"Host": local.host})}
    tunnel = Peer(f"{name}, tunnels' socket", told["socket"], {}, TUNNEL_HOST, who)
    tunnel.fields = CLOUDFLARED | {"Cf-Warp-Tag-Gw": SECRET}
    tunnel.fields["Cookie"] = sign_in(tunnel)
    peers.items += [local, tunnel]


class _UnixHttp(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)


def connection(peer: Peer) -> http.client.HTTPConnection:
    if isinstance(peer.at, str):
        return _UnixHttp(peer.at)
    return http.client.HTTPConnection("127.0.0.1", peer.at, timeout=20)


def sign_in(peer: Peer) -> str:
    """The cookie of a session, by the sign-in form, as a browser sends it."""
    body = urllib.parse.urlencode({"username": "owner", "password": PASSWORD})
    fields = {
        **peer.fields,
        "Host": peer.host,
        "Origin": peer.origin,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return _begun(peer, "POST", "/_nexus/sign-in", body, fields)


def _begun(peer: Peer, method: str, path: str, body: str | None, fields: dict[str, str]) -> str:
    asking = connection(peer)
    asking.request(method, path, body, fields)
    answer = asking.getresponse()
    told = answer.read()
    asking.close()
    cookie = answer.headers["Set-Cookie"]
    if cookie is None:
        raise RuntimeError(f"could not sign in at {peer.name}: {answer.status} {told[:500]!r}")
    return str(cookie.partition(";")[0])
