"""The rules and all writes: sign-up, login and switching (``entering``), organizations (``tenants``), ``members``."""
