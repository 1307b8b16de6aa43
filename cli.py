"""`python cli.py predict digit.png` from a checkout is `mnist-edge predict digit.png`."""

from mnist_edge.cli import main

if __name__ == "__main__":
    main()
