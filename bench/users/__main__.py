"""`python -m bench.users --help`, in the benchmarks' own environment if it was made."""

from bench import environment

if __name__ == "__main__":
    environment.enter("bench.users")
    from .command import main

    main()
