"""Our own pages under `/_nexus/`, and the answer to strangers."""
