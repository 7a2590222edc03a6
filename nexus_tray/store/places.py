"""From where people have signed in, so that a new place can be told; what counts as one address.

Owns the table of places. Imports the standard library only. A place is the
country, as Cloudflare told it, or else the network of the address (/24 of IPv4, /48 of IPv6). Used
within the transaction that stores the session (ASVS 5.0 V6.3.5).
"""

import ipaddress
import sqlite3

MOST = 1000
"""Places that are remembered; the one unused for longest goes first."""


def network(address: str) -> str:
    """What counts as one address: IPv4 itself, the /64 of IPv6 (one household's least).

    IPv4 written as IPv6 is that IPv4. What is no address ("local") stands for itself.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def place_of(country: str, address: str) -> str:
    """What counts as one place; empty where the address says nothing ("local")."""
    if country and country not in ("XX", "T1"):
        return country
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if parsed.version == 4:
        return str(ipaddress.IPv4Network((int(parsed), 24), strict=False))
    return str(ipaddress.IPv6Network((int(parsed), 48), strict=False))


def note(connection: sqlite3.Connection, place: str, now: float) -> bool:
    """Remember the place. True: others are known, and this one was not."""
    known = connection.execute("SELECT place = ? FROM places", (place,)).fetchall()
    connection.execute(
        "INSERT INTO places (place, first_at, seen_at) VALUES (?, ?, ?)"
        " ON CONFLICT (place) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)",
        (place, now, now),
    )
    connection.execute(
        "DELETE FROM places WHERE place IN"
        " (SELECT place FROM places ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
        (MOST,),
    )
    return bool(known) and not any(same for (same,) in known)
