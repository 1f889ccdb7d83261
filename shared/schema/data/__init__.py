"""The reduced OpenAPI documents of a real API server, one file a Go package; written by shared.schema.generate only."""
