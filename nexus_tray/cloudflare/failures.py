"""The table of cloudflared's failures: what it prints, what that means, what to do.

Owns the rules and their words, as data; `cloudflare.errors` applies them. Pure; imports the
vocabulary only. Every pattern is taken from a recording of the real program
(tests/cloudflare_lab/recordings) or, where the comment says so, from its source. Order
matters: the first rule that matches wins, so what is specific stands first.
"""

import re
from dataclasses import dataclass

from nexus_tray.core.driver import Cause
from nexus_tray.model import Hop

PATIENCE = 30.0
"""Seconds to leave a failing service of Cloudflare's alone: every try there costs it work."""


@dataclass(frozen=True)
class Rule:
    """A failure. `pattern` is searched in one line; its group `said` may be quoted in `what`."""

    code: str
    cause: Cause
    hop: Hop
    pattern: re.Pattern[str]
    what: str
    meaning: str = ""
    cure: str = ""
    retry_after: float | None = None


def _rule(
    code: str,
    cause: Cause,
    hop: Hop,
    pattern: str,
    words: tuple[str, str, str],
    retry_after: float | None = None,
) -> Rule:
    return Rule(code, cause, hop, re.compile(pattern), *words, retry_after)


_ASKING = r"^failed to request quick Tunnel: "
_NO_ANSWER = (
    r"connection refused|EOF|deadline exceeded|connection reset|timeout|timed out"
    r"|unreachable|no route to host"
)
_LOOKUP = r"lookup \S+.*?(no such host|server misbehaving|i/o timeout|connection refused|Temporary)"
_OFFLINE = "It keeps trying; nothing else is needed if the network comes back."
_API = r"^(Error Parsing page|failed to create tunnel|Failed to add route|Error deleting tunnel)"

STARTING: tuple[Rule, ...] = (
    _rule("tunnel-rate-limited", Cause.LIMITED, Hop.EDGE,
          r'QuickTunnel response.*(status_code="?429|error code: 1015)',
          ("Cloudflare gives out no new quick tunnel for now: too many were asked for.",
           "The limit is per network, so others beside you may have used it up.",
           "Wait; it is asked again, slowly.")),
    _rule("quick-service-failing", Cause.NETWORK, Hop.EDGE,
          r'QuickTunnel response.*status_code="?(?P<said>5\d\d)',
          ("Cloudflare's quick tunnel service fails (status {said}).",
           "This is on Cloudflare's side.",
           "It is asked again; www.cloudflarestatus.com knows more."), PATIENCE),
    _rule("quick-service-odd", Cause.NETWORK, Hop.EDGE,
          r"QuickTunnel response|^failed to (unmarshal quick Tunnel|parse quick Tunnel ID)"
          r"|^failed to read quick-tunnel response",
          ("The answer to the request for a quick tunnel could not be understood.",
           "Cloudflare's service has trouble, or something on this network answers in its stead.",
           "If this network has a sign-in page (hotel, train), sign in there. It is asked again."),
          PATIENCE),
    _rule("no-dns", Cause.NETWORK, Hop.EDGE, _ASKING + r".*" + _LOOKUP,
          ("Cloudflare's name could not be looked up.",
           "This machine is offline, or its DNS does not answer.", _OFFLINE)),
    _rule("tls-intercepted", Cause.NETWORK, Hop.EDGE, _ASKING + r".*(x509|certificate|tls:)",
          ("The certificate of Cloudflare's quick tunnel service is not trusted.",
           "Something on this network reads along, or this machine's clock is wrong.",
           "Check date and time; on a network with a sign-in page, sign in. It is tried again.")),
    _rule("quick-service-unreachable", Cause.NETWORK, Hop.EDGE, _ASKING,
          ("Cloudflare's quick tunnel service could not be reached.",
           "This machine is offline, or a firewall is in the way.", _OFFLINE)),
    # edgediscovery/allregions/discovery.go, where no address of the edge is configured
    _rule("no-dns", Cause.NETWORK, Hop.EDGE,
          r"^(Couldn't start tunnel error=\W*)?(Could not lookup srv records|lookup \S+argotunnel)",
          ("The names of Cloudflare's edge could not be looked up.",
           "This machine is offline, or its DNS does not answer.", _OFFLINE)),
    _rule("metrics-port-taken", Cause.CRASH, Hop.CLOUDFLARED,
          r"^Error opening metrics server listener",
          ("cloudflared could not open its status port on this machine.",
           "Another program holds it.", "It is started again with another port.")),
    _rule("cloudflared-protocol", Cause.FATAL, Hop.CLOUDFLARED, r"unknown protocol (?P<said>\S+)",
          ("cloudflared does not know the transport {said}.",
           "", "Set the tunnel's transport to auto, quic or http2, or update cloudflared.")),
    _rule("cloudflared-config", Cause.FATAL, Hop.CLOUDFLARED,
          r"^error parsing YAML in config file|^open \S+: (no such file|permission denied)"
          r"|^Validation failed: |^Error validating origin URL|URL \S+ has invalid format",
          ("cloudflared could not use the configuration it was given.",
           "It is written anew at each start, so its folder may be unusable.",
           "Check that Nexus Tray's folder can be written, then start the tunnel again.")),
    _rule("tunnel-token-refused", Cause.FATAL, Hop.EDGE, r"^Provided Tunnel token is not valid",
          ("The tunnel token was refused.",
           "It is not whole, or it may have been revoked in Cloudflare's dashboard.",
           "Enter a new token.")),
    _rule("cloudflared-usage", Cause.FATAL, Hop.CLOUDFLARED,
          r"^Incorrect Usage|flag provided but not defined|grace-period must be"
          r"|requires the ID or name of the tunnel|^You did not specify any valid additional"
          r"|^Tag parse failure",
          ("This cloudflared does not understand how it was started.",
           "Its version does not fit this version of Nexus Tray.",
           "Update cloudflared, or remove the setting cloudflared.program.")),
    _rule("tunnel-credentials-missing", Cause.FATAL, Hop.CLOUDFLARED,
          r"^tunnel credentials file not found|^Tunnel credentials file '.*' doesn't exist",
          ("The tunnel's credentials file is gone.",
           "Without it Cloudflare does not let the tunnel connect.",
           "Delete the tunnel and create it again.")),
)  # fmt: skip

CONNECTING: tuple[Rule, ...] = (
    _rule("tunnel-secret-refused", Cause.FATAL, Hop.EDGE, r"Unauthorized: Invalid tunnel secret",
          ("Cloudflare refused the tunnel's secret.",
           "Its credentials are of another tunnel, or were replaced.",
           "Delete the tunnel and create it again, or enter a new token.")),
    _rule("tunnel-gone", Cause.NETWORK, Hop.EDGE, r"Unauthorized: Tunnel not found",
          ("Cloudflare no longer knows this tunnel.",
           "A quick tunnel ends so after a time without connection; its address is lost.",
           "A new quick tunnel is asked for, with a new address.")),
    _rule("tls-intercepted", Cause.NETWORK, Hop.EDGE,
          r"TLS handshake with edge error: tls:|x509: certificate",
          ("The certificate of Cloudflare's edge is not trusted.",
           "Something on this network reads along, or this machine's clock is wrong.",
           "Check date and time, or use another network. It is tried again.")),
    _rule("edge-refused", Cause.NETWORK, Hop.EDGE,
          r"(initial tunnel connection failed|Register tunnel error from server side)"
          r" error=(?P<said>\"(?:[^\"\\]|\\.)*\"|\S+)",
          ("Cloudflare's edge did not accept the tunnel: {said}.",
           "This is on Cloudflare's side, or the tunnel is no longer allowed.",
           "It is tried again; www.cloudflarestatus.com knows more."), PATIENCE),
    _rule("edge-unreachable", Cause.NETWORK, Hop.EDGE,
          r"Unable to establish connection with Cloudflare edge|Failed to dial a quic connection"
          r"|DialContext error|TLS handshake with edge error",
          ("Cloudflare's edge could not be reached.",
           "This machine is offline, or a firewall blocks port 7844.", _OFFLINE)),
    _rule("edge-connection-lost", Cause.NETWORK, Hop.EDGE,
          r"Serve tunnel error|Lost connection with the edge|Unable to establish connection\."
          r"|accept stream listener encountered|Connection terminated",
          ("The connection to Cloudflare's edge was lost.",
           "The public address does not answer until it is back.", _OFFLINE)),
    _rule("gateway-unreachable", Cause.CRASH, Hop.GATEWAY, r"Unable to reach the origin service",
          ("cloudflared could not reach the gateway.",
           "Visitors get an error page of Cloudflare's (502).",
           "If this lasts, restart the gateway.")),
    _rule("gateway-broke-off", Cause.CRASH, Hop.GATEWAY,
          r'error="?(Failed to proxy HTTP: )?unexpected EOF',
          ("An answer broke off between the gateway and cloudflared.",
           "One visitor got half of it.", "")),
)  # fmt: skip

COMMANDS: tuple[Rule, ...] = (
    _rule("account-limited", Cause.LIMITED, Hop.EDGE, r"rate limited|status 429",
          ("Cloudflare's API refuses more requests for now.", "", "Wait some minutes.")),
    _rule("account-refused", Cause.FATAL, Hop.EDGE,
          r"REST request failed: unauthorized|Authentication error",
          ("Cloudflare refused the account's certificate.",
           "It may have been revoked.", "Sign in to Cloudflare again.")),
    _rule("account-certificate-missing", Cause.FATAL, Hop.CLOUDFLARED,
          r"Error locating origin cert|Cannot determine default origin certificate path",
          ("There is no certificate of a Cloudflare account.",
           "Only a signed-in account can have named tunnels.", "Sign in to Cloudflare.")),
    _rule("account-certificate-exists", Cause.FATAL, Hop.CLOUDFLARED,
          r"^You have an existing certificate",
          ("There is a certificate of a Cloudflare account already.",
           "Signing in again changed nothing.", "Sign out first to use another zone.")),
    _rule("tunnel-name-taken", Cause.FATAL, Hop.EDGE, r"tunnel with name already exists",
          ("A tunnel of that name exists already.", "", "Choose another name.")),
    _rule("tunnel-in-use", Cause.FATAL, Hop.EDGE, r"because it has active connections",
          ("The tunnel is in use.", "Cloudflare does not delete a tunnel that is connected.",
           "Stop it on every machine, then delete it.")),
    _rule("tunnel-unknown", Cause.FATAL, Hop.EDGE,
          r"is neither the ID nor the name of any of your tunnels|has already been deleted",
          ("The account has no such tunnel.", "It may have been deleted.", "")),
    _rule("dns-record-exists", Cause.FATAL, Hop.EDGE, r"record with that host already exists",
          ("That host name leads somewhere else already.",
           "Nothing was changed.", "Choose another name, or allow it to be replaced.")),
    _rule("account-unreachable", Cause.NETWORK, Hop.EDGE,
          r"^Error Parsing page.*(" + _NO_ANSWER + "|" + _LOOKUP + ")",
          ("Cloudflare's API could not be reached.", "", "Check the network, then try again.")),
    _rule("account-service-failing", Cause.NETWORK, Hop.EDGE, _API,
          ("Cloudflare's API fails.", "This is on Cloudflare's side.", "Try again later.")),
    _rule("cloudflared-not-running", Cause.CRASH, Hop.CLOUDFLARED,
          r'^Get "http://\S+/ready": .*connection refused',
          ("cloudflared does not run.", "Its status port does not answer.", "")),
)  # fmt: skip

RULES = STARTING + CONNECTING + COMMANDS
