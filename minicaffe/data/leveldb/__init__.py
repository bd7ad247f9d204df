"""LevelDB, the other database of Caffe's tools, read without LevelDB's own library."""
