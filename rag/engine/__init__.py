"""The generator in a child process: worker, wire and supervisor."""
