"""The heart: machine, journal, supervisor, snapshot, backend. No sockets, no processes."""
