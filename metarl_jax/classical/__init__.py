"""Agents and values that are computed rather than learned."""
