"""The rules and all writes of runs and cron jobs."""
