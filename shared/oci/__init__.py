"""OCI: read registries that others own, and believe nothing they say.

    URL + Secret → Registry → tags, manifest, blob

Every byte that is handed out was checked against its digest; credentials go to the registry and to the token service
that it names, nowhere else.
"""
