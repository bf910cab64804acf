"""The product as people meet it: HTTP, command line, and all the wiring between the other folders."""
