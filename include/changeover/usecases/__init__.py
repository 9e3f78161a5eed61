"""One file, one verb: gather through ports, decide in the domain, return a value."""
