"""Kustomization: make the cluster what a path of a source says.

    artifact → files → manifests → change set → inventory → health

The inventory is saved before the cluster is touched, and drops an object only once it is seen gone or meant to stay:
whatever fails in between, nothing lives that the status doesn't know.
"""
