"""What a device works out for itself: a head on item features, new users, new items."""
