"""What can be done, one module a command; entry.py begins each of them."""
