"""The resources of the local API that tell what was counted: as JSON, and for Prometheus.

Owns their handlers and METRIC_ROUTES, a part of the one table in `resources`. Each handler is
one question to Backend. Imports layer 1 and Backend; runs in the request's thread.
"""

from nexus_tray.api import prometheus
from nexus_tray.api.routes import Answer, Call, Route
from nexus_tray.model import to_json
from nexus_tray.reports import Measured

METRICS = "/metrics"


def read_measurements(call: Call) -> Answer:
    """Every counter there is: of each door, of OpenCode, of each cloudflared."""
    return Answer(to_json(call.backend.measured()))


def read_metrics(call: Call) -> Answer:
    """The same and the state of each service in Prometheus' text format."""
    body = prometheus.exposition(call.backend.snapshot(), call.backend.measured())
    return Answer(body, media=prometheus.MEDIA)


METRIC_ROUTES: tuple[Route, ...] = (
    Route("GET", "/measurements", read_measurements, answers=Measured),
    Route("GET", METRICS, read_metrics, answers=str, media=(prometheus.MEDIA,)),
)
