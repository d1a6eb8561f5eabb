"""The order of things: the only package that knows which step follows which."""
