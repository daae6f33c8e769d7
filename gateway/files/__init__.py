"""The contents of files over HTTP: uploads, downloads, and the sealed addresses of downloads."""
