"""What development and tests need; never deployed."""
