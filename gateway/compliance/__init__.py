"""What rules ask an operator to be able to show, made from the settings and the state of an installation."""
