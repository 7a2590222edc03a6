"""The operating system: process trees, the guard, the single-instance lock."""
