"""Sources of `kind: bucket`: the new objects of a bucket in another S3 store, copied to incoming/ as they are."""
