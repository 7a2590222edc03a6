"""The only door between the world and OpenCode; it fails closed."""
