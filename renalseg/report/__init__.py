"""Results for people: pictures, the PDF, and the HTML page."""
