"""`python -m tools.wheels` builds all distributions that this machine can, twice, and tests each as a user would.

Needs Linux, a C compiler, binutils and pip; no container engine.
"""
