"""Families of brax's robots: one file for each robot, one function for each family."""
