"""Objects as data: their shapes (a table read off a real API server), decoding, defaults, ownership of fields, patches.

Everything here is pure: values in, values out; nothing knows of a store or of HTTP.
"""
