"""What is looked at: views as HTML and text, plots, and how records show themselves in a notebook."""

from k2lab.show.displays import register

__all__ = ["register"]
