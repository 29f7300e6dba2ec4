"""Saved contexts: captured from a browser, kept on disk, put back into another browser."""
