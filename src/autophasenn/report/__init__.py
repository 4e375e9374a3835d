"""Figures of a result, with units and scale bars."""
