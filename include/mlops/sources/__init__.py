"""The kinds of source: landed files, a table of the lake, a query; all of them answer the same questions."""
