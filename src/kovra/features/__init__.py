"""What customers do: one package per noun, in a fixed order of tiers (see .importlinter)."""
