"""What can be wrong with a public address although its tunnel is connected, as reasons.

Owns these words. Pure; imports the vocabulary and what a visit brings.
"""

from nexus_tray.model import Hop, Reason
from nexus_tray.services.public_visit import Seen, Visit

DNS = (
    "Take the host name out of the tunnel's routes and put it in again: that sets its DNS record."
    " At a token tunnel, correct it in Cloudflare's dashboard."
)

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


def told(met: Visit) -> str:
    """What a visit met, as a line for the log."""
    if met.seen is Seen.OURS:
        return f"The public address {met.hostname} leads to the gateway (proved by a visit)."
    if met.seen is Seen.GUARDED:
        return (
            f"A visit of {met.hostname} was held up by Cloudflare's own rules; that proves nothing."
        )
    if met.seen is Seen.NO_WAY:
        return f"{met.hostname} could not be visited from this computer."
    return f"A visit of our own failed: {of(met).what}"


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
            DNS,
        )
    if met.seen is Seen.ASTRAY:
        return _reason(
            "leads-astray",
            f"{host} leads to another tunnel of this computer.",
            "It works, but under the other tunnel's rules, and not when that one is stopped.",
            DNS,
        )
    if met.seen is Seen.FOREIGN:
        return _reason(
            "foreign",
            f"Somebody else's page answers at {host}.",
            "Do not sign in there: it is not this computer.",
            "Look where the name leads in Cloudflare's DNS, and at rules, workers or pages for it.",
        )
    return _dead(met)


def of_one(met: Visit) -> Reason:
    """What is wrong with one name of a tunnel that another name reaches well."""
    if met.trouble is not None or met.seen not in (Seen.CLOUDFLARE, Seen.SILENT):
        return of(met)
    return _reason(
        "one-dead",
        f"{_answers(met)} Another name of this tunnel is answered well.",
        "So the tunnel is not at fault, but where this name leads.",
        DNS,
    )


def _answers(met: Visit) -> str:
    if met.seen is Seen.CLOUDFLARE:
        return f"Cloudflare answers {met.hostname} with its error {met.code}."
    return f"{met.hostname} does not answer."


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
    if met.seen is Seen.REFUSED:
        what = f"{host} reaches the gateway without this tunnel's secret."
    else:
        what = _answers(met)
    return _reason(
        "dead",
        what,
        "cloudflared says that it is connected, but visitors do not get through.",
        "It is tried again by itself. If it lasts, restart the tunnel.",
    )


def _reason(code: str, what: str, meaning: str, cure: str) -> Reason:
    return Reason(code=f"address-{code}", hop=Hop.EDGE, what=what, meaning=meaning, cure=cure)
