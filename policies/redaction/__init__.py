"""Personal data: found, replaced by placeholders, put back for whoever may see it; see README.md.

Importing this folder is cheap: the heavy libraries load in `engine.Redactor.load`.
"""
