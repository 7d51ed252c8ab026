"""The core: a question in, a grounded answer out. Knows no HTTP and no command line."""
