"""The HTTP door: questions in over REST, checked answers out."""
