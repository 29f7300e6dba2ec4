"""What the gateway costs, measured against Chromium itself and against others; `make bench` runs it."""
