"""Every setting: its meaning, its default and its bounds. A value, like the model.

Owns the shape of `config.json`; `store.config` loads, migrates and saves it. A setting's
docstring line is what `nexus-tray config` and the dashboard show. Imports nothing of ours.
"""

from typing import Annotated, Literal

import msgspec

SCHEMA_VERSION = 2

TunnelName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}\Z",
        description="a name of 1 to 32 small letters, digits and hyphens, no hyphen first",
    ),
]
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"(?=.{{4,253}}\Z)({_LABEL}\.)+{_LABEL}"
# RFC 1123, 2.1: two labels or more, lower case, 253 characters at most
HostName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^{_NAME}\Z",
        description="a host name in lower case, such as code.example.com",
    ),
]
RouteHost = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^({_NAME})?\Z",
        description="a host name such as code.example.com (at a quick tunnel: nothing)",
    ),
]
LocalService = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(https?://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?)?\Z",
        description="an address without a path: http://localhost:5173, or nothing (OpenCode)",
    ),
]
HexId = Annotated[
    str,
    msgspec.Meta(pattern=r"^([0-9a-f]{32})?\Z", description="32 hexadecimal digits, or nothing"),
]
TunnelId = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})?\Z",
        description="a tunnel's UUID in lower case, or nothing",
    ),
]
Network = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[0-9a-f.:]{2,45}(/[0-9]{1,3})?\Z",
        description="an address or a network, such as 203.0.113.7 or 2001:db8::/32",
    ),
]
Country = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[A-Z][A-Z0-9]\Z",
        description="a country in two capital letters, such as DE (T1: the Tor network)",
    ),
]
Kilobytes = Annotated[int, msgspec.Meta(ge=0, le=10_000_000)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=86_400)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
TimeOfDay = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9])?\Z",
        description="a time such as 22:00, or nothing",
    ),
]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the settings. Immutable; unknown keys are refused, not dropped."""


class OpenCodeSettings(Section, frozen=True):
    """OpenCode itself.

    `enabled`: keep it running. `directory`: the default folder: where it opens now, and
    what it starts in from its next start on (empty: where the program was
    started). `program`: path of the executable (empty: found on PATH or
    among our own). `environment`: names of further environment variables it may see.
    `memory_megabytes`: the memory it may hold, without that of programs it starts (0: any). Above
    it, it is started anew as soon as no session works or waits and no terminal is open.
    """

    enabled: bool = True
    directory: str = ""
    program: str = ""
    environment: tuple[str, ...] = ()
    memory_megabytes: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0


class GatewaySettings(Section, frozen=True):
    """The only door.

    `local_port`: loopback port of the local door (0: any free one, kept while we run).
    """

    local_port: Port = 0


class RouteSettings(Section, frozen=True):
    """Where the gateway leads who asks for a host name, after sign-in.

    `hostname`: the public name; empty only at a quick tunnel, whose name is not known before.
    `service`: empty for OpenCode, else another service of this machine or its network.
    The rest is for such a service. `host_header`: what it sees as Host (empty: its own
    address). `verify_tls`: whether its certificate is checked; `ca_file`: the authorities
    believed for that (empty: the system's). `connect_timeout`: seconds to connect;
    `answer_timeout`: seconds until its answer begins (0: no limit).
    """

    hostname: RouteHost = ""
    service: LocalService = ""
    host_header: str = ""
    verify_tls: bool = True
    ca_file: str = ""
    connect_timeout: Annotated[int, msgspec.Meta(ge=1, le=300)] = 5
    answer_timeout: Seconds = 0


class TunnelSettings(Section, frozen=True):
    """One tunnel.

    `kind`: `quick` (no account, a new address each start), `named` (made here, on an account
    of the person's) or `token` (made and configured at Cloudflare). `enabled`: keep it
    running. `transport`: `auto` starts with QUIC and falls back to HTTP/2. `tunnel_id`,
    `account_id`, `zone_id`: Cloudflare's ids, as far as known; the zone is the one whose
    certificate made a named tunnel. `routes`: by host name, the first that fits counts; a
    quick tunnel without one leads to OpenCode, every other tunnel then leads nowhere.
    """

    name: TunnelName
    kind: Literal["quick", "named", "token"] = "quick"
    enabled: bool = True
    transport: Literal["auto", "quic", "http2"] = "auto"
    tunnel_id: TunnelId = ""
    account_id: HexId = ""
    zone_id: HexId = ""
    routes: tuple[RouteSettings, ...] = ()


class NetworkSettings(Section, frozen=True):
    """The door for the local network, over TLS, with the same sign-in.

    `address`: this machine's address that it listens on (empty: none, and it stays shut).
    `port`: its port. `names`: further names by which it is visited, such as `desk.lan`.
    `certificate`: PEM file of the person's own, with those above it (empty: one of an authority
    that is made here). `key`: PEM file with its key, without a passphrase.
    """

    enabled: bool = False
    address: str = ""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8443
    names: tuple[HostName, ...] = ()
    certificate: str = ""
    key: str = ""


class AccessSettings(Section, frozen=True):
    """Who may knock from outside, and how much a device may take. The local door has no limits.

    `allow_addresses`: only from these addresses and networks (empty: from all).
    `deny_addresses`: not from these. `allow_countries`: only from these countries (empty: from
    all), as Cloudflare tells them; while countries are set, a visitor whose country is not known
    is refused. `deny_countries`: not from these. `requests_per_second`: of one device (0: no
    limit). `address_requests_per_second`: of one address that is not signed in (0: no limit).
    `streams`: at once, of one device (0: no limit). `device_kilobytes_in`: kilobytes a second
    that one device may send (0: no limit). `device_kilobytes_out`: kilobytes a second that one
    device may get (0: no limit). `total_kilobytes_in`: kilobytes a second that all together may
    send (0: no limit). `total_kilobytes_out`: kilobytes a second that all together may get (0: no
    limit). `idle_minutes`: without a request, after which remote access closes, never while
    OpenCode works (0: it stays open).
    """

    allow_addresses: tuple[Network, ...] = ()
    deny_addresses: tuple[Network, ...] = ()
    allow_countries: tuple[Country, ...] = ()
    deny_countries: tuple[Country, ...] = ()
    requests_per_second: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 200
    address_requests_per_second: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 50
    streams: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 256
    device_kilobytes_in: Kilobytes = 0
    device_kilobytes_out: Kilobytes = 0
    total_kilobytes_in: Kilobytes = 0
    total_kilobytes_out: Kilobytes = 0
    idle_minutes: Annotated[int, msgspec.Meta(ge=0, le=10_080)] = 0


class CloudflaredSettings(Section, frozen=True):
    """The tunnel program. `program`: path of the executable (empty: found)."""

    program: str = ""


class LogSettings(Section, frozen=True):
    """Logs. `max_megabytes`: the most that stored logs take on disk; the oldest go first."""

    max_megabytes: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 256


class NotificationSettings(Section, frozen=True):
    """What the desktop tells.

    `level`: `important` tells OpenCode's questions, what is not reachable or cannot run, an
    address that changed, each new sign-in, and that remote access closed unused; `all` also the
    first address, sessions that have finished, and what is worth knowing of what runs; `off`
    nothing. `quiet_from`: begin of the quiet hours, local time. In them only new sign-ins are
    told; what still waits is told at their end. Empty: there are none.
    `quiet_to`: end of the quiet hours; before their begin, it means the next day's.
    """

    level: Literal["off", "important", "all"] = "important"
    quiet_from: TimeOfDay = ""
    quiet_to: TimeOfDay = ""


class DashboardSettings(Section, frozen=True):
    """The dashboard on this machine.

    `open_in`: where it opens. `auto`: in a window of its own where the system has a web
    view, else in the browser. `window`: the same, and what is missing is said each time, not
    only once. `browser`: always in the browser.
    """

    open_in: Literal["auto", "window", "browser"] = "auto"


class Settings(Section, frozen=True):
    """All settings; `version` is the schema's, raised by migrations only."""

    version: int = SCHEMA_VERSION
    opencode: OpenCodeSettings = OpenCodeSettings()
    gateway: GatewaySettings = GatewaySettings()
    cloudflared: CloudflaredSettings = CloudflaredSettings()
    tunnels: tuple[TunnelSettings, ...] = (TunnelSettings(name="quick"),)
    network: NetworkSettings = NetworkSettings()
    access: AccessSettings = AccessSettings()
    logs: LogSettings = LogSettings()
    notifications: NotificationSettings = NotificationSettings()
    dashboard: DashboardSettings = DashboardSettings()


class Configuration(Section, frozen=True):
    """Settings with the tag of the version read: send it back to change just that one."""

    etag: str
    settings: Settings
