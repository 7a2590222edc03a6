"""Who may come in: passwords, lockout, sessions, and whether the clock can be believed."""
