"""The services as the supervisor drives them: OpenCode, the gateway, tunnels."""
