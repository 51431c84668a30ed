"""What is made of results/: tables, figures and the page."""
