"""Who somebody is: users, passwords, sessions, API keys and single sign-on."""
