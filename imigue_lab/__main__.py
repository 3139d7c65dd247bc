"""`python -m imigue_lab` is the command line."""

from imigue_lab.app import main

main()
