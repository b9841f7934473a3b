"""The ops web application: API and page."""
