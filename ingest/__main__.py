"""`python -m ingest`: the command line of ingestion alone."""

from ingest.cli import app

if __name__ == "__main__":
    app(prog_name="python -m ingest")
