"""A session's life: pure transitions, one task each, and the registry that finds them."""
