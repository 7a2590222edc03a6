"""Which event loop the gateway runs on. Imports asyncio, and uvloop where it is to be had."""

import asyncio


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is to be had (not on Windows), else asyncio's own: a quarter slower."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
