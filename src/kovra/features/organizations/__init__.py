"""Organizations: the tenants. Sign-up, login, switching, members and the table of roles.

Invariants: an organization always has an owner; nobody grants a role above their own; membership and role are read in
each request's own transaction. Tables: organizations, memberships.
"""
