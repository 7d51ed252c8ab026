"""Ingestion: corpora on disk become chunks in the index."""
