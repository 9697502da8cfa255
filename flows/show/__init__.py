"""Show a run: its pace while it goes on, then its summary (artifacts, page, terminal)."""
