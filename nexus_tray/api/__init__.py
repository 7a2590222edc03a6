"""The local API and its client: Backend over HTTP on the loopback interface."""
