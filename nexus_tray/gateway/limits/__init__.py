"""How much who may take: address and country lists, requests, streams, bandwidth."""
