"""The words everyone shares: principals, labels, decisions, personal data, the audit trail."""
