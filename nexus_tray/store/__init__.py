"""Everything on disk: settings, databases, secrets, and how files are written."""
