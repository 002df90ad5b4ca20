"""PostgreSQL's log in all its forms."""
