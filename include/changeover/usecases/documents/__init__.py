"""Write the documents of an upgrade: what is known of it is gathered once, each document is composed from that."""
