"""A run on disk.

`directory` knows every file name, `manifest` says where the run came from, `status` how it stands, `metrics` what it measured, and
`resume` goes on with it.
"""
