"""Artifacts: what a source is at one revision, as a stored tarball that anyone can check.

    files → tar → digest → store → file server → fetch → files

A revision says what an artifact is of, a digest what its bytes are. Whoever reads an artifact checks the bytes against
the digest in the source's status, so neither the store nor the network between has to be trusted.
"""
