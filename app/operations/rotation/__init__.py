"""New secrets in place of old ones: at the server and in the file that the settings name, whatever happens between."""
