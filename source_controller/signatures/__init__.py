"""Signatures: is this what someone whom the user trusts signed?

    Git object + keys → git ; image + spec.verify → images → cosign (keys, keyless) or notation

Only here: sigstore, tuf, cbor2 and rfc3161_client; gnupg, too. Whatever is signed comes from strangers: all sizes and
counts have limits, and an error in one signature never stops the look at the next.
"""
