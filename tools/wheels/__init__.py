"""`python -m tools.wheels` builds every distribution that this machine can, twice, and tries each as a new user would.

Needs Linux, a C compiler, binutils and pip; no container engine.
"""
