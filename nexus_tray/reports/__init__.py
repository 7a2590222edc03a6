"""What a front end may read besides the Snapshot: frozen values, asked for when needed.

Owns who has access, what passed through the gateway, what an examination found and how far
the first start has come. Like the model: no action, no clock, the JSON that goes out.
Imports the model only. Times named `*_at` are seconds since the Unix epoch (UTC); `None`
means unknown.
"""

from nexus_tray.reports.access import (
    Access,
    AuditEntry,
    AuditPage,
    AuditQuery,
    Device,
    PairingEntry,
    PasskeyEntry,
    TokenEntry,
)
from nexus_tray.reports.opencode import Message, Transcript
from nexus_tray.reports.setup import (
    Bundle,
    BundleFile,
    Check,
    CheckState,
    Examination,
    Fetch,
    Setup,
    ToolState,
)
from nexus_tray.reports.traffic import (
    CloudflaredCounters,
    Figures,
    Measured,
    Traffic,
    TrafficPoint,
    TrafficQuery,
)
from nexus_tray.reports.tunnels import (
    CertificateReport,
    Importable,
    NetworkDoor,
    RouteReport,
    RouteState,
    TokenFacts,
    TunnelReport,
    Tunnels,
    Zone,
)

__all__ = [
    "Access",
    "AuditEntry",
    "AuditPage",
    "AuditQuery",
    "Bundle",
    "BundleFile",
    "CertificateReport",
    "Check",
    "CheckState",
    "CloudflaredCounters",
    "Device",
    "Examination",
    "Fetch",
    "Figures",
    "Importable",
    "Measured",
    "Message",
    "NetworkDoor",
    "PairingEntry",
    "PasskeyEntry",
    "RouteReport",
    "RouteState",
    "Setup",
    "TokenEntry",
    "TokenFacts",
    "ToolState",
    "Traffic",
    "TrafficPoint",
    "TrafficQuery",
    "Transcript",
    "TunnelReport",
    "Tunnels",
    "Zone",
]
