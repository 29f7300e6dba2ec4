"""Owns Chromium processes: launch, watch, end. Knows nothing of sessions, HTTP or tenants."""
