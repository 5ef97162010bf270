"""The commit model: features, training, and promotion of the champion that the ML service loads."""
