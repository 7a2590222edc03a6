"""Amends a Content-Security-Policy so that the bridge may run. Pure; imports nothing of ours.

OpenCode 1.18.33 needs no change (`script-src 'self' ...; connect-src * ...`); versions that
say less do. Only what the bridge needs is added: a script from our own origin and a
WebSocket to it.
"""


def amended(policy: str, origin: str) -> str:
    """The policy with our script and WebSocket allowed; each policy of a list is amended.

    `origin` is the visitor's, `https://name`. Sources are added, never taken away, but for
    `'none'`, which may not stand beside others (CSP Level 3, 2.3.1).
    """
    return ", ".join(_amended(one, origin) for one in policy.split(","))


def _amended(policy: str, origin: str) -> str:
    directives: dict[str, list[str]] = {}
    for part in policy.split(";"):
        name, *sources = part.split()[:1] + part.split()[1:] if part.strip() else [""]
        if name:
            directives.setdefault(name.lower(), sources)  # the first of a name counts
    elements = "script-src-elem" if "script-src-elem" in directives else "script-src"
    _allow(directives, elements, "'self'", ("'self'",))
    _allow(directives, "connect-src", origin.replace("http", "ws", 1), ("*",))
    return "; ".join(" ".join([name, *sources]) for name, sources in directives.items())


def _allow(
    directives: dict[str, list[str]], name: str, source: str, enough: tuple[str, ...]
) -> None:
    """Add a source to a directive, which falls back to default-src; none at all allows all."""
    sources = directives.get(name, directives.get("default-src"))
    if sources is None or any(one in sources for one in enough):
        return
    directives[name] = [one for one in sources if one.lower() != "'none'"] + [source]
