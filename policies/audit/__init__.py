"""The audit trail: what happened, in a chain that shows every alteration; see README.md."""
