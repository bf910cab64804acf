"""Where the trail and its checkpoints are sent to: files, syslog and HTTP. See `README.md`."""
