"""A dry run of the pipeline on a file of this machine: which dataset it is of, what a load would do. Writes nothing."""
