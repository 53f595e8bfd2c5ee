"""The database of development: an embedded Postgres, its migrations and made-up data."""
