"""Auth: what Secrets and identities stand for at the moment, as credentials that don't print."""
