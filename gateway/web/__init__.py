"""What a client meets: routes, shapes, refusals."""
