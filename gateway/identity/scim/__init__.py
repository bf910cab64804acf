"""Users and groups as an identity provider sends them: SCIM 2.0 (RFC 7643, RFC 7644)."""
