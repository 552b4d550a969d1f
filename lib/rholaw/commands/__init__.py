"""One module for the commands of each room; rholaw/__main__.py lists them. They only call the library and print."""
