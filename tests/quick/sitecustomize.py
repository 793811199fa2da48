"""Python imports this first in the programs that tests start: it makes their hashes cheap.

A hash as people's passwords are kept costs 0.2 s of the processor, and the tests sign in a thousand
times. Some milliseconds are left of it: still a multiple of what the rest of a sign-in takes, so
that one who answers without a hash is found out.
"""

import sys

# How the gateway runs; nothing else needs the library, and importing it takes its time.
if {"run", "gunicorn"} & {*sys.orig_argv}:
    from functools import partial

    import argon2

    argon2.PasswordHasher = partial(
        argon2.PasswordHasher, time_cost=1, memory_cost=16 * 1024, parallelism=1
    )
