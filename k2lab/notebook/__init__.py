"""What a notebook and its report need: servers, the ladder, the run of a notebook."""
