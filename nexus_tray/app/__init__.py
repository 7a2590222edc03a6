"""The composition root: it alone knows who is who."""
