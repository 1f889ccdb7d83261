"""Signatures: is this what someone whom the user trusts signed?

    Git object + keys → git ; image + spec.verify → images → cosign (keys, keyless)

Only here: gnupg and sigstore. Whatever is signed comes from strangers: all sizes and counts have
limits, and an error in one signature never stops the look at the next.
"""
