"""What can be wrong with a public address although its tunnel is connected, as reasons.

Owns these words. Pure; imports the vocabulary and what a visit brings.
"""

from nexus_tray.model import Hop, Reason
from nexus_tray.services.public_visit import Seen, Visit

OFFLINE = Reason(
    code="computer-offline",
    hop=Hop.EDGE,
    what="This computer cannot reach the public address itself.",
    meaning="Its network or its DNS is down, so nobody may reach it from outside either.",
    cure="Look at this computer's network; the address is tried again by itself.",
)

OFTEN_CHANGED = Reason(
    code="address-changes-often",
    hop=Hop.EDGE,
    what="The address of this quick tunnel has changed three times or more within a day.",
    meaning="Each change signs every browser out, and old links lead nowhere.",
    cure="A named tunnel keeps its address: make one with a domain of yours at Cloudflare.",
)


def of(met: Visit) -> Reason:
    """What is wrong, from a visit that did not meet our gateway."""
    if met.trouble is not None:
        return met.trouble
    host = met.hostname
    if met.seen is Seen.NO_NAME:
        return _reason(
            "has-no-name",
            f"The name {host} does not exist in the DNS.",
            "Browsers cannot find the address.",
            "At a tunnel with a domain of yours, set its DNS record again (Routes, Repair).",
        )
    if met.seen is Seen.ASTRAY:
        return _reason(
            "leads-astray",
            f"{host} leads to another tunnel of this computer.",
            "It works, but under the other tunnel's rules, and not when that one is stopped.",
            "Set the name's DNS record to this tunnel (Routes, Repair).",
        )
    if met.seen is Seen.FOREIGN:
        return _reason(
            "foreign",
            f"Somebody else's page answers at {host}.",
            "Do not sign in there: it is not this computer.",
            "Look where the name leads in Cloudflare's DNS, and at rules, workers or pages for it.",
        )
    return _dead(met)


def _dead(met: Visit) -> Reason:
    """Cloudflare cannot reach the tunnel, or says nothing."""
    host = met.hostname
    if met.seen is Seen.CLOUDFLARE and met.code == "429":
        return _reason(
            "limited",
            f"Cloudflare answers {host} with its error 429: too many requests at a time.",
            "Visitors are turned away until there are fewer.",
            "Close pages that you do not need; a named tunnel has no such limit.",
        )
    if met.seen is Seen.CLOUDFLARE:
        what = f"Cloudflare answers {host} with its error {met.code}."
    elif met.seen is Seen.REFUSED:
        what = f"{host} reaches the gateway without this tunnel's secret."
    else:
        what = f"{host} does not answer."
    return _reason(
        "dead",
        what,
        "cloudflared says that it is connected, but visitors do not get through.",
        "It is tried again by itself. If it lasts, restart the tunnel.",
    )


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"address-{code}", hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)
