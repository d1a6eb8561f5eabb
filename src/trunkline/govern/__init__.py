"""The only door to data: what it may be used for, and the view that keeps to it."""

from trunkline.govern.product import Product
from trunkline.govern.purpose import PURPOSES, Purpose, check_purpose, shared_purposes
from trunkline.govern.view import View

__all__ = ["PURPOSES", "Product", "Purpose", "View", "check_purpose", "shared_purposes"]
