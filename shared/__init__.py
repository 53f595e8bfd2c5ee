"""What all functions share: settings, errors, database, HTTP, and one package for each resource."""
