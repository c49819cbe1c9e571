"""The documentation site: pages made from the code, and the hook by which MkDocs takes them in (`scripts/site`)."""
