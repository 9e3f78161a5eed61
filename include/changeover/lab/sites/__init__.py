"""The sites of the lab: one module per client estate, each with a `SITE`."""
