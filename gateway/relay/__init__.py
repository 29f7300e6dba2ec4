"""The websocket data path: client frames to Chromium and back, as raw bytes."""
