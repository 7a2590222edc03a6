"""What is changed in OpenCode's answers on their way: compression, caching, injection."""
