"""`python -m autophasenn`: the command `autophasenn` where it is not on the path."""

from autophasenn.cli import main

if __name__ == "__main__":
    main()
