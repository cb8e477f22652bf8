"""The prompt of a request, made outside a server: source, declaration of tools, rendering, comparison."""
