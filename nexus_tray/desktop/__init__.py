"""The desktop's face: the tray icon and its menu."""
