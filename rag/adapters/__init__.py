"""One heavy library, one file: the real parts behind the protocols."""
