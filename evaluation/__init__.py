"""The evaluation: records of what each arm answered in, a verdict out."""
