"""What is looked at: views as HTML and text, and plots."""
