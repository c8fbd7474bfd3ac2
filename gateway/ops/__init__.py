"""Health, metrics page, supervisor: what operators and orchestrators meet."""
