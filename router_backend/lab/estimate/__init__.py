"""What each size on AWS costs a month, from a table of dated list prices."""
