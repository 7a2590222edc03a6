"""Where a host name leads: tables, and a walk that every doubt leads nowhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus_tray.gateway.http import Door, DoorKind, Preview
from nexus_tray.gateway.routes import Lead, Place, lead, place_of, same_place, table_of
from nexus_tray.settings import RouteSettings, TunnelSettings

VITE = RouteSettings(hostname="app.example.com", service="http://localhost:5173")
CODE = RouteSettings(hostname="code.example.com")
APP = place_of(VITE)


def where(tunnel: TunnelSettings, host: str, *, name: str | None = None) -> Place:
    door = Door(DoorKind.TUNNEL, name or tunnel.name)
    return lead(table_of([tunnel]), door, host)


def named(*routes: RouteSettings, kind: str = "named") -> TunnelSettings:
    return TunnelSettings(name="work", kind=kind, routes=routes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tunnel", "host", "place"),
    [
        (named(kind="quick"), "any.trycloudflare.com", Lead.OPENCODE),
        (
            named(RouteSettings(service="http://localhost:5173"), kind="quick"),
            "any.trycloudflare.com",
            APP,
        ),
        (named(RouteSettings(), kind="quick"), "any.trycloudflare.com", Lead.OPENCODE),
        (named(), "code.example.com", Lead.NOWHERE),
        (named(kind="token"), "code.example.com", Lead.NOWHERE),
        (named(CODE, VITE), "code.example.com", Lead.OPENCODE),
        (named(CODE, VITE), "app.example.com", APP),
        (named(CODE, VITE, kind="token"), "app.example.com", APP),
        (named(CODE, VITE), "other.example.com", Lead.NOWHERE),
        (named(CODE, VITE), "code.example.com:8443", Lead.NOWHERE),
        (named(CODE, VITE), "code.example.com.", Lead.NOWHERE),
        (named(CODE, VITE), "xcode.example.com", Lead.NOWHERE),
        (named(RouteSettings(service="http://localhost:5173")), "x.example.com", Lead.NOWHERE),
        # the first that fits
        (named(VITE, RouteSettings(hostname="app.example.com")), "app.example.com", APP),
        (named(RouteSettings(hostname="app.example.com"), VITE), "app.example.com", Lead.OPENCODE),
        # understood by nobody
        (
            named(RouteSettings(hostname="app.example.com", service="http://localhost:99999")),
            "app.example.com",
            Lead.NOWHERE,
        ),
        (
            named(
                RouteSettings(
                    hostname="app.example.com",
                    service="http://localhost:1",
                    host_header="x\r\nAuthorization: Basic x",
                )
            ),
            "app.example.com",
            Lead.NOWHERE,
        ),
    ],
)
def test_where_a_host_leads(tunnel: TunnelSettings, host: str, place: Place) -> None:
    assert where(tunnel, host) == place


def test_a_tunnel_without_an_entry_leads_nowhere_and_other_doors_to_opencode() -> None:
    assert where(named(CODE), "code.example.com", name="unknown") is Lead.NOWHERE
    table = table_of([named(CODE)])
    for kind in DoorKind:
        if kind is not DoorKind.TUNNEL:
            assert lead(table, Door(kind, "work"), "app.example.com") is Lead.OPENCODE


@pytest.mark.parametrize(
    ("service", "host_header", "host", "port", "tls", "authority"),
    [
        ("http://localhost:5173", "", "localhost", 5173, False, "localhost:5173"),
        ("http://localhost", "", "localhost", 80, False, "localhost"),
        ("https://nas.lan", "", "nas.lan", 443, True, "nas.lan"),
        ("http://[::1]:3000", "", "::1", 3000, False, "[::1]:3000"),
        ("https://127.0.0.1:8443", "dev.test", "127.0.0.1", 8443, True, "dev.test"),
    ],
)
def test_a_service_is_read(
    service: str, host_header: str, host: str, port: int, tls: bool, authority: str
) -> None:
    place = place_of(RouteSettings(service=service, host_header=host_header))
    assert isinstance(place, Preview)
    assert (place.host, place.port, place.tls, place.authority) == (host, port, tls, authority)


def test_only_another_address_is_another_place() -> None:
    slow = place_of(RouteSettings(service="http://localhost:5173", answer_timeout=3))
    other = place_of(RouteSettings(service="http://localhost:5174"))
    assert same_place(APP, slow)
    assert not same_place(APP, other)
    assert not same_place(APP, Lead.OPENCODE)
    assert not same_place(Lead.OPENCODE, Lead.NOWHERE)


def test_nobody_is_sent_to_a_host_that_is_not_known() -> None:
    table = table_of([named(RouteSettings(service="http://localhost:5173"), kind="quick")])
    routes, address = table["work"], "https://calm-river.trycloudflare.com"
    assert routes.preview_at("calm-river.trycloudflare.com", address) == APP
    assert routes.preview_at("evil.example", address) is None
    assert routes.preview_at("evil.example", None) is None
    assert routes.hosts_of_opencode(address) == []


names = st.sampled_from(["a.example.com", "b.example.com", "c.example.com"])
services = st.sampled_from(["", "http://localhost:1", "http://localhost:2"])
some = st.lists(st.builds(RouteSettings, hostname=names, service=services), max_size=5)


@given(some, st.sampled_from(["named", "token"]), names)
def test_only_what_is_listed_leads_anywhere(
    routes: list[RouteSettings], kind: str, host: str
) -> None:
    fitting = [route for route in routes if route.hostname == host]
    expected = place_of(fitting[0]) if fitting else Lead.NOWHERE
    assert where(named(*routes, kind=kind), host) == expected
