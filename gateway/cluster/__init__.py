"""Many gateways as one: who is there, which has which session, and how a request gets to it."""
