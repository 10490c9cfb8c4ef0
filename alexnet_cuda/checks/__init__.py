"""Checking operations against the reference: the case tables, the error bounds, and what runs them."""

from .cases import OPERATIONS
from .runner import Report, Row, check

__all__ = ["OPERATIONS", "Report", "Row", "check"]
