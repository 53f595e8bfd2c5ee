"""What goes over the wire, a module for each body or query, so that a function imports its own alone."""
