"""The folder connector: files below one folder of this machine."""
