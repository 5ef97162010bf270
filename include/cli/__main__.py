"""`python -m include.cli`: the same as `filegate`."""

from include.cli.app import main

if __name__ == "__main__":
    main()
