"""Who is calling, and which credential goes upstream."""
