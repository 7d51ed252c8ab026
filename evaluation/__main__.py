"""`python -m evaluation`: the same as `understudy evaluate`."""

from __future__ import annotations

from evaluation.cli import main

if __name__ == "__main__":
    main()
