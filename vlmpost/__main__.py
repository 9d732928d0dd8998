"""`python -m vlmpost`, and so `torchrun -m vlmpost rl RECIPE`."""

from vlmpost.cli.app import main

if __name__ == "__main__":
    main()
