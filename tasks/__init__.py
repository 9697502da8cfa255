"""Plain functions that do the work, and the Prefect tasks over them."""
