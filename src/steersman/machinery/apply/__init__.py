"""Server-side apply (KEP-555): who owns which fields, and merging what they apply. Pure.

types.py says what a type is to apply; fieldset.py what a set of fields is, elements.py its path elements. sets.py, compare.py,
merging.py and removing.py walk objects. managers.py reads and writes metadata.managedFields; updater.py is what writes do to it.
Not here: which type a kind has (api/schema/applytypes.py, api/structural/applytypes.py), requests (apiserver/handlers).
"""
