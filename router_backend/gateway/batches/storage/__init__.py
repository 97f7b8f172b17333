"""Where files and batches lie: a folder or a bucket, behind one protocol."""
