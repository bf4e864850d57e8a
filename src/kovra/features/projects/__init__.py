"""Projects group environments and apps; an app environment exists for every pair of the last two.

Deleting hides a thing and stops what it runs at once, holds its name, and purges it after seven days; until then it
can be restored. Tables: projects, environments, apps, app_environments.
"""
