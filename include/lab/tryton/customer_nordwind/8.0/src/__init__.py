"""Nordwind Trading's own module, ported to Tryton 8.0: what it registers is declared in tryton.cfg."""
