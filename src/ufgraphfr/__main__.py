"""``python -m ufgraphfr`` is the command line."""

from ufgraphfr.cli.main import main

if __name__ == "__main__":
    main()
