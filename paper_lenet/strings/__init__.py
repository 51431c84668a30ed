"""Sections IV to VIII: strings of digits, read as a whole through graphs."""
