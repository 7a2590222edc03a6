"""Nexus Tray: keeps OpenCode running and safely reachable, and tells the truth about both."""

__version__ = "0.1.0"
