"""`python -m bench --help`, in the benchmarks' own environment if it was made."""

from . import environment

if __name__ == "__main__":
    environment.enter()
    from .command import main

    main()
