"""The rules of built-in kinds, a module a subject."""
