"""Which service may run beside which, and what is said where one may not or its driver erred.

Owns the order of the end and two reasons of the supervisor's. Pure; imports the model.
"""

from nexus_tray.model import Hop, Reason, ServiceKind

STOP_ORDER = (ServiceKind.TUNNEL, ServiceKind.GATEWAY, ServiceKind.OPENCODE)

GATEWAY_FIRST = Reason(
    code="gateway-first",
    hop=Hop.GATEWAY,
    what="The tunnel waits for the gateway.",
    meaning="No tunnel runs without the gateway in front of OpenCode.",
)


def drivers_fault(error: Exception) -> Reason:
    """A driver raised, which it must not: a mistake of ours."""
    return Reason(
        code="internal-error",
        hop=Hop.GATEWAY,
        what=f"An unexpected error: {error!r}.",
        meaning="This is a mistake in Nexus Tray.",
        cure="Restart the service; please report what the logs say.",
    )
