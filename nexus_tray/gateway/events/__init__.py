"""Event streams over one WebSocket, where the way in holds them back."""
