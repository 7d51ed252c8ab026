"""A door for other frameworks: their interfaces over a pipeline here or a service elsewhere."""
