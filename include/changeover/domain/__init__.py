"""Pure decisions over facts and a time: no I/O, no clock, no framework."""
