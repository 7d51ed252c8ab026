"""A door: questions over a domain in, a LoRA adapter out."""
