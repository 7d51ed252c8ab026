"""`python -m tuning`: the same as `understudy tune`."""

from tuning.cli import main

main()
