"""Claims of the field: a file each says what is tested and by which commands; results, and the page made of them.

In come experiments that DVC has run, read from git; out go results/, docs/claims.md and its pictures.
"""
