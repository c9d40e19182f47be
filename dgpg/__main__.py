"""`python -m dgpg`: the command line."""

from dgpg.cli import main

main()
