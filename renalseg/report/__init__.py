"""Results for people: the table on the terminal, pictures, the page, the browser page."""
