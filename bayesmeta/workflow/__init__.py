"""The workflow of an analysis file: its fits, their documents and files."""
