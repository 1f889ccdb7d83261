"""Receivers: what a webhook must prove, what its filters say, and how the objects it is for are told.

webhook → proofs (who sends it) → filters (which objects it means) → notify (ask for their reconciliation)
"""
