"""What the store was told, as tables for any engine: Parquet files by day, in a folder or a bucket."""
