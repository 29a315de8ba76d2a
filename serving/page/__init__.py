"""The page that the API serves at `/`: its files, and the read-only answers that it alone needs."""
