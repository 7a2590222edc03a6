"""What a visitor's connection has others do meanwhile: the site's answers, and its streams.

Coroutines, apart from the connection because they wait and it does not; what they end with is
told to it. May import `gateway.http`. Runs on the gateway's event loop.
"""

import logging
from collections.abc import Awaitable, Callable

from nexus_tray.gateway.http import Channel, Response

log = logging.getLogger(__name__)


async def respond(
    make: Callable[[], Awaitable[Response]],
    answer: Callable[[Response], None],
    give_up: Callable[[], None],
) -> None:
    """Wait for an answer of the site's, and have it sent."""
    try:
        answer(await make())
    except Exception:
        log.exception("an answer of the site's could not be made")
        give_up()


async def stream(
    handler: Callable[[Channel], Awaitable[None]], channel: Channel, close: Callable[[], None]
) -> None:
    """Let a stream of the site's run, and close the connection after it."""
    try:
        await handler(channel)
    except ConnectionResetError:
        log.debug("a visitor left a stream")
    except Exception:
        log.exception("a stream of the site's failed")
    finally:
        close()
